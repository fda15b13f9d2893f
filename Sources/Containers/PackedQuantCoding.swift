internal import TensorCore

/// Numbers, strings and bytes of a directory, one behind the other.
struct PackedBytesWriter {
  private(set) var bytes: [UInt8] = []

  mutating func number(_ value: Int) {
    var rest = UInt64(value)
    while rest > 0x7F {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func string(_ text: String) {
    number(text.utf8.count)
    bytes += text.utf8
  }

  mutating func byte(_ value: Int) { bytes.append(UInt8(value)) }

  mutating func word(_ value: UInt64) { bytes += value.littleEndianBytes }

  mutating func append(_ more: [UInt8]) { bytes += more }
}

/// Reads them back; every number is checked against what is left.
struct PackedBytesReader {
  private let bytes: [UInt8]
  private let place: String
  private var position = 0

  init(_ bytes: [UInt8], at place: String) {
    (self.bytes, self.place) = (bytes, place)
  }

  var left: Int { bytes.count - position }

  /// PQ-11.
  mutating func number() throws -> Int {
    var value: UInt64 = 0
    for shift in stride(from: 0, through: 56, by: 7) {
      let byte = try byte()
      value |= UInt64(byte & 0x7F) << UInt64(shift)
      guard byte & 0x80 == 0 else { continue }
      guard byte != 0 || shift == 0 else {
        throw failure("a number is not spelled as short as it can be", 11)
      }
      return Int(value)
    }
    throw failure("a number is longer than nine bytes", 11)
  }

  /// A count of things that take at least `size` bytes each (PQ-12).
  mutating func count(of what: String, each size: Int) throws -> Int {
    let count = try number()
    guard count <= left / size else {
      throw failure(
        "more \(what) than the directory has room for", expected: "at most \(left / size)",
        found: "\(count)", 12)
    }
    return count
  }

  /// PQ-13.
  mutating func string(_ what: String, _ lengths: ClosedRange<Int>) throws -> String {
    let count = try number()
    guard lengths.contains(count) else {
      throw failure(
        "the length of the \(what)", expected: "\(lengths.lowerBound) … \(lengths.upperBound)",
        found: "\(count)", 13)
    }
    let text = try take(count)
    guard !text.contains(0), let string = String(validating: text, as: UTF8.self) else {
      throw failure("the \(what) is not UTF-8 without NUL", 13)
    }
    return string
  }

  mutating func byte() throws -> UInt8 {
    guard left > 0 else { throw failure("the directory ends inside of an entry", 11) }
    defer { position += 1 }
    return bytes[position]
  }

  mutating func word() throws -> UInt64 { UInt64(littleEndian: try take(8)) ?? 0 }

  mutating func take(_ count: Int) throws -> [UInt8] {
    guard count <= left else { throw failure("the directory ends inside of an entry", 11) }
    defer { position += count }
    return Array(bytes[position..<position + count])
  }

  func failure(
    _ what: String, expected: String? = nil, found: String? = nil, _ rule: Int,
    _ kind: Failure.Kind = .malformed
  ) -> Failure {
    PackedQuant.failure(
      what, at: "\(place): directory", expected: expected, found: found, rule, kind)
  }
}

extension FixedWidthInteger {
  var littleEndianBytes: [UInt8] {
    (0..<Self.bitWidth / 8).map { UInt8(truncatingIfNeeded: self >> (8 * $0)) }
  }
}
