internal import TensorCore

/// One step from tokens back to text. Tokens are UTF-8.
enum Decoder: Sendable {
  case byteLevel
  case byteFallback
  case fuse
  case replace(SplitPattern, by: [UInt8])
  case strip(Unicode.Scalar, start: Int, stop: Int)
  case metaspace([UInt8], dropsFirst: Bool)

  func decoded(_ tokens: [[UInt8]]) throws -> [[UInt8]] {
    switch self {
    case .byteLevel: [Self.bytes(tokens)]
    case .byteFallback: Self.withBytes(tokens)
    case .fuse: [Array(tokens.joined())]
    case .replace(let pattern, let new):
      try tokens.map { try Normalizer.replace(pattern, by: new).normalized($0) }
    case .strip(let scalar, let start, let stop):
      tokens.map { Self.stripped($0, scalar, start, stop) }
    case .metaspace(let mark, let dropsFirst):
      tokens.enumerated().map { Self.spaced($1, mark, drops: dropsFirst && $0 == 0) }
    }
  }

  /// The bytes that all tokens spell; a token with a character that names none stands for itself.
  private static func bytes(_ tokens: [[UInt8]]) -> [UInt8] {
    var bytes: [UInt8] = []
    for token in tokens { bytes += ByteLevel.bytes(spelledBy: token) ?? token }
    return UTF8Text.repaired(bytes)
  }

  /// Runs of `<0x..>` become text where they are UTF-8, else one U+FFFD for each.
  private static func withBytes(_ tokens: [[UInt8]]) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var run: [UInt8] = []
    func flush() {
      guard !run.isEmpty else { return }
      if String(validating: run, as: UTF8.self) != nil {
        result.append(run)
      } else {
        result += Array(repeating: Array("\u{FFFD}".utf8), count: run.count)
      }
      run = []
    }
    for token in tokens {
      if let byte = byte(of: token) {
        run.append(byte)
      } else {
        flush()
        result.append(token)
      }
    }
    flush()
    return result
  }

  private static func byte(of token: [UInt8]) -> UInt8? {
    guard token.count == 6, token.starts(with: "<0x".utf8), token[5] == UInt8(ascii: ">") else {
      return nil
    }
    return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
  }

  private static func stripped(
    _ token: [UInt8], _ scalar: Unicode.Scalar, _ start: Int, _ stop: Int
  ) -> [UInt8] {
    let mark = Array(String(scalar).utf8)
    var range = 0..<token.count
    var count = 0
    while count < start, UTF8Text.hasPrefix(token, range, mark) {
      range = range.lowerBound + mark.count..<range.upperBound
      count += 1
    }
    count = 0
    while count < stop, range.count >= mark.count,
      UTF8Text.hasPrefix(token, range.upperBound - mark.count..<range.upperBound, mark)
    {
      range = range.lowerBound..<range.upperBound - mark.count
      count += 1
    }
    return Array(token[range])
  }

  private static func spaced(_ token: [UInt8], _ mark: [UInt8], drops: Bool) -> [UInt8] {
    var text: [UInt8] = []
    var index = 0
    while index < token.count {
      if UTF8Text.hasPrefix(token, index..<token.count, mark) {
        if !drops { text.append(UInt8(ascii: " ")) }
        index += mark.count
      } else {
        text.append(token[index])
        index += 1
      }
    }
    return text
  }
}

extension Decoder {
  /// The steps of `decoder`, sequences laid flat. Throws `unsupported` for unknown ones.
  static func steps(_ component: Component, depth: Int = 0) throws -> [Decoder] {
    let type = try component.text("type")
    switch type {
    case "Sequence":
      guard depth < Component.mostDepth else { throw component.tooDeep(.decoder) }
      return try component.components("decoders").flatMap { try steps($0, depth: depth + 1) }
    case "ByteLevel": return [.byteLevel]
    case "ByteFallback": return [.byteFallback]
    case "Fuse": return [.fuse]
    case "Replace":
      guard let pattern = try component.pattern() else { return [] }
      return [.replace(pattern, by: Array(try component.text("content").utf8))]
    case "Strip":
      return [
        .strip(
          try component.scalar("content"), start: try component.count("start"),
          stop: try component.count("stop"))
      ]
    case "Metaspace":
      let mark = String(try component.scalar("replacement"))
      return [.metaspace(Array(mark.utf8), dropsFirst: try component.prependScheme() != .never)]
    default: throw component.unknown(.decoder, "decoder", type)
    }
  }
}
