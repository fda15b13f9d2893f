internal import TensorCore

/// Reads the head of a GGUF file from front to back. Each count is compared with what is left of the file before
/// anything is taken by it.
struct GGUFBytesReader {
  private static let windowBytes = 1 << 16

  private let source: any ByteSource
  private var window: [UInt8] = []
  private var start = 0
  /// The next byte.
  private(set) var position = 0

  init(_ source: any ByteSource) {
    self.source = source
  }

  var left: Int { source.size - position }

  mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
    try checkLeft(count)
    if position + count > start + window.count {
      start = position
      window = try source.contents(
        position..<min(source.size, position + max(count, Self.windowBytes)))
    }
    defer { position += count }
    return window[position - start..<position - start + count]
  }

  mutating func skip(_ count: Int) throws {
    try checkLeft(count)
    position += count
    if position > start + window.count { (window, start) = ([], position) }
  }

  private func checkLeft(_ count: Int) throws {
    guard count <= left else {
      throw failure(
        "the file ends inside of its head", expected: "\(count) bytes at offset \(position)",
        found: "\(left)", 2)
    }
  }

  /// Little-endian.
  mutating func number<Number: FixedWidthInteger & UnsignedInteger>(
    _: Number.Type
  ) throws -> Number {
    try take(Number.bitWidth / 8).reversed().reduce(0) { $0 << 8 | Number($1) }
  }

  /// A 64-bit count of things of at least `size` bytes each.
  mutating func length(of what: String, each size: Int) throws -> Int {
    let count = try number(UInt64.self)
    guard count <= UInt64(left / size) else {
      throw failure(
        "\(what) that the file has no room for", expected: "at most \(left / size)",
        found: "\(count)", 2)
    }
    return Int(count)
  }

  /// The name of a value or tensor.
  mutating func name(_ what: String) throws -> String {
    let count = try length(of: "the name of \(what)", each: 1)
    guard (1...65535).contains(count) else {
      throw failure(
        "the length of the name of \(what)", expected: "1 to 65535", found: "\(count)", 4)
    }
    let bytes = try take(count)
    guard !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else {
      throw failure("the name of \(what) is not UTF-8", 4)
    }
    return text
  }

  func failure(
    _ what: String, expected: String? = nil, found: String? = nil, _ rule: Int,
    _ kind: Failure.Kind = .malformed
  ) -> Failure {
    Failure(
      kind, at: source.path, what, expected: expected, found: found, rule: "GG-\(rule)")
  }
}
