internal import TensorCore

/// What is put around the ids of a text.
struct PostProcessor: Sendable {
  /// A part of the answer.
  private enum Part: Sendable {
    case ids([UInt32])
    case text

    var isText: Bool {
      if case .text = self { true } else { false }
    }
  }

  /// Templates, applied one after the other.
  private var templates: [[Part]] = []

  init() {}

  func processed(_ ids: [UInt32]) -> [UInt32] {
    templates.reduce(ids) { ids, template in
      template.flatMap { part in
        switch part {
        case .ids(let special): special
        case .text: ids
        }
      }
    }
  }
}

extension PostProcessor {
  /// Reads `post_processor`; `isKnown` says whether an id belongs to a token. Throws `unsupported`
  /// for unknown ones.
  init(_ component: Component?, isKnown: (Int) -> Bool) throws {
    guard let component else { return }
    try add(component, depth: 0, isKnown)
  }

  private mutating func add(
    _ component: Component, depth: Int, _ isKnown: (Int) -> Bool
  ) throws {
    let type = try component.text("type")
    switch type {
    case "Sequence":
      guard depth < Component.mostDepth else { throw component.tooDeep(.postProcessor) }
      for part in try component.components("processors") {
        try add(part, depth: depth + 1, isKnown)
      }
    // It only moves offsets, which are not kept.
    case "ByteLevel": return
    case "RobertaProcessing", "BertProcessing":
      let first = try Self.pair(component, "cls", isKnown)
      let last = try Self.pair(component, "sep", isKnown)
      templates.append([.ids([first]), .text, .ids([last])])
    case "TemplateProcessing": try addTemplate(component, isKnown)
    default: throw component.unknown(.postProcessor, "post-processor", type)
    }
  }

  /// The id of a `[token, id]`.
  private static func pair(
    _ component: Component, _ key: String, _ isKnown: (Int) -> Bool
  ) throws -> UInt32 {
    let list = try component.list(key)
    guard list.count == 2, list[0].string != nil, let id = list[1].int, isKnown(id) else {
      throw Failure.tokenizer(
        .postProcessor, at: component.place(of: key), "not a token and its id",
        found: JSON.array(list).text())
    }
    return UInt32(id)
  }

  private mutating func addTemplate(_ component: Component, _ isKnown: (Int) -> Bool) throws {
    let tokens = try component.component("special_tokens")
    var template: [Part] = []
    for part in try component.components("single") {
      if try part.component("Sequence") != nil {
        guard !template.contains(where: \.isText) else {
          throw Failure.tokenizer(
            .postProcessor, .unsupported, at: part.place, "a template that repeats its text")
        }
        template.append(.text)
        continue
      }
      guard let special = try part.component("SpecialToken") else {
        throw Failure.tokenizer(
          .postProcessor, .unsupported, at: part.place, "a part that is not supported")
      }
      template.append(.ids(try Self.ids(of: special, tokens, isKnown)))
    }
    templates.append(template)
  }

  private static func ids(
    of special: Component, _ tokens: Component?, _ isKnown: (Int) -> Bool
  ) throws -> [UInt32] {
    let name = try special.text("id")
    guard let token = try tokens?.component(name) else {
      throw Failure.tokenizer(
        .postProcessor, at: special.place, "a token that `special_tokens` does not list",
        found: name)
    }
    return try token.list("ids").map { value in
      guard let id = value.int, isKnown(id) else {
        throw Failure.tokenizer(
          .postProcessor, at: token.place, "an id that belongs to no token", found: value.text())
      }
      return UInt32(id)
    }
  }
}
