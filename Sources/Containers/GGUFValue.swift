internal import TensorCore

/// A value of a GGUF file's metadata (GG-5, GG-6).
public enum GGUFValue: Sendable, Equatable {
  case unsigned(UInt64)
  case signed(Int64)
  case real(Double)
  case bool(Bool)
  case string(String)
  /// So many values of a kind; they stay in the file.
  case array(Kind, count: Int)

  /// What stands before a value.
  public enum Kind: UInt32, Sendable {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64,
      float64

    /// Bytes of a value; of a string or an array the least.
    var leastBytes: Int {
      switch self {
      case .uint8, .int8, .bool: 1
      case .uint16, .int16: 2
      case .uint32, .int32, .float32: 4
      case .string, .uint64, .int64, .float64: 8
      case .array: 12
      }
    }
  }

  public var string: String? { if case .string(let text) = self { text } else { nil } }

  public var int: Int? {
    switch self {
    case .unsigned(let number): Int(exactly: number)
    case .signed(let number): Int(exactly: number)
    default: nil
    }
  }
}

extension GGUFBytesReader {
  /// A value behind its kind.
  mutating func value() throws -> GGUFValue { try value(kind()) }

  private mutating func kind() throws -> GGUFValue.Kind {
    let number = try number(UInt32.self)
    guard let kind = GGUFValue.Kind(rawValue: number) else {
      throw failure("a value of no known kind", expected: "0 to 12", found: "\(number)", 5)
    }
    return kind
  }

  private mutating func value(_ kind: GGUFValue.Kind) throws -> GGUFValue {
    switch kind {
    case .uint8: .unsigned(UInt64(try number(UInt8.self)))
    case .uint16: .unsigned(UInt64(try number(UInt16.self)))
    case .uint32: .unsigned(UInt64(try number(UInt32.self)))
    case .uint64: .unsigned(try number(UInt64.self))
    case .int8: .signed(Int64(Int8(bitPattern: try number(UInt8.self))))
    case .int16: .signed(Int64(Int16(bitPattern: try number(UInt16.self))))
    case .int32: .signed(Int64(Int32(bitPattern: try number(UInt32.self))))
    case .int64: .signed(Int64(bitPattern: try number(UInt64.self)))
    case .float32: .real(Double(Float(bitPattern: try number(UInt32.self))))
    case .float64: .real(Double(bitPattern: try number(UInt64.self)))
    case .bool: .bool(try truth())
    case .string:
      .string(String(decoding: try take(length(of: "a string", each: 1)), as: UTF8.self))
    case .array: try array()
    }
  }

  private mutating func truth() throws -> Bool {
    let byte = try number(UInt8.self)
    guard byte <= 1 else {
      throw failure("neither true nor false", expected: "0 or 1", found: "\(byte)", 5)
    }
    return byte == 1
  }

  /// Passes over the elements.
  private mutating func array() throws -> GGUFValue {
    let kind = try kind()
    guard kind != .array else { throw failure("an array of arrays", expected: "plain values", 6) }
    let count = try length(of: "an array", each: kind.leastBytes)
    if kind == .string {
      for _ in 0..<count { try skip(length(of: "a string", each: 1)) }
    } else {
      try skip(count * kind.leastBytes)
    }
    return .array(kind, count: count)
  }
}
