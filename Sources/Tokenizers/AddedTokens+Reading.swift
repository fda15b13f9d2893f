internal import TensorCore

extension AddedTokens {
  /// Longer contents make the search slow on hostile texts.
  private static let mostBytes = 256

  /// Reads `added_tokens`. Throws `unsupported` where an id is neither the one that the token has in
  /// the vocabulary nor the next free one: the peer gives such tokens another id in silence.
  init(_ root: Component, _ vocabulary: Vocabulary) throws {
    self.init()
    guard root.value("added_tokens") != nil else { return }
    for component in try root.components("added_tokens") {
      let token = try AddedToken(component)
      guard !token.content.isEmpty, token.content.utf8.count <= Self.mostBytes else {
        throw Failure.tokenizer(
          .addedTokenLength, .unsupported, at: component.place, "an added token of this length",
          expected: "1 to \(Self.mostBytes) bytes", found: "\(token.content.utf8.count)")
      }
      try check(token, vocabulary, at: component.place)
      add(token)
    }
  }

  private func check(_ token: AddedToken, _ vocabulary: Vocabulary, at place: String) throws {
    let next = max((highestId) + 1, vocabulary.count)
    let id = id(of: token.content) ?? vocabulary.id(of: token.content) ?? next
    guard token.id == id else {
      throw Failure.tokenizer(
        .addedTokenId, .unsupported, at: place, "the id of \"\(token.content)\" is not its place",
        expected: "\(id)", found: "\(token.id)")
    }
  }
}

extension AddedToken {
  init(_ component: Component) throws {
    content = try component.text("content")
    name = Array(content.utf8)
    id = try component.count("id")
    isSingleWord = try component.flag("single_word", default: false)
    stripsLeft = try component.flag("lstrip", default: false)
    stripsRight = try component.flag("rstrip", default: false)
    isSpecial = try component.flag("special", default: false)
    isNormalized = try component.flag("normalized", default: !isSpecial)
  }
}
