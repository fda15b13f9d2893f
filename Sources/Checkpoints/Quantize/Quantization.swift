internal import Codecs
public import Quantizers
public import TensorCore

/// What a dense checkpoint is quantized to, and how.
public struct Quantization: Sendable {
  /// A method by the name users type.
  public enum Method: String, Sendable, CaseIterable {
    case nf4 = "bnb-nf4"
    case fp4 = "bnb-fp4"
    case int8 = "bnb-int8"

    /// What is written.
    var codec: any Codec { kind == nil ? BitsAndBytesInt8() : BitsAndBytes() }

    /// The table of four bits; nil for eight.
    var kind: FourBit.Kind? {
      switch self {
      case .nf4: .nf4
      case .fp4: .fp4
      case .int8: nil
      }
    }
  }

  public var method: Method
  /// Neighbours that share a maximum, where codes have four bits.
  public var blockSize = 64
  /// Whether the maxima are quantized as well.
  public var doubleQuantized = false
  /// The type that loaders compute in; nil is the model's own.
  public var computeType: DType?
  /// The type that packed codes are labelled with.
  public var storage: DType = .u8
  /// Modules to leave dense besides those the loader leaves out by itself: names, beginnings of
  /// names up to a point, or ends of names.
  public var skippedModules: [String] = []
  public var rules: PeerRules = .cuda
  /// Whether infinities and NaN are taken as they come.
  public var allowsNonFinite = false

  public init(_ method: Method) {
    self.method = method
  }

  /// A method by name. Throws `usage`.
  public init(method name: String) throws {
    guard let method = Method(rawValue: name) else {
      throw Failure(
        .usage, at: "--method", "no such method",
        expected: Method.allCases.map(\.rawValue).joined(separator: ", "), found: name)
    }
    self.init(method)
  }

  /// The type that torch calls so; nil where packed codes can't have it.
  public static func storageType(named name: String) -> DType? {
    QuantState.storages.first { $0.name == name }?.type
  }

  /// Throws `usage` for settings that name nothing, or that the method does not have.
  func check() throws {
    _ = try FourBit(.nf4, blockSize: blockSize)
    guard QuantState.storages.contains(where: { $0.type == storage }) else {
      throw Failure(
        .usage, at: "--quant-storage", "no type for packed codes",
        expected: QuantState.storages.map(\.name).joined(separator: ", "), found: storage.rawValue)
    }
    guard method.kind != nil || blockSize == 64 && !doubleQuantized && storage == .u8 else {
      throw Failure(
        .usage, at: "--method", "bnb-int8 has rows and no blocks",
        expected: "no --block-size, --double-quant or --quant-storage", found: "one of them")
    }
    for name in skippedModules where name.isEmpty || !name.utf8.allSatisfy(\.isPartOfName) {
      throw Failure(
        .usage, at: "--skip-modules", "no name of a module",
        expected: "letters, digits, _, - and points", found: name)
    }
  }

  /// Whether a module is named.
  func skips(_ module: String) -> Bool {
    skippedModules.contains { skips(module, as: $0) }
  }

  /// Whether a name is one of a module, as the loader matches them: up to a point, or at the end.
  func skips(_ module: String, as name: String) -> Bool {
    module == name || module.hasPrefix(name + ".") || module.hasSuffix(name)
      || name.hasSuffix(".") && module.hasPrefix(name)
  }

  /// What decides the output's bytes.
  var json: JSONObject {
    JSONObject([
      "method": .string(method.rawValue), "block_size": .integer(blockSize),
      "double_quant": .bool(doubleQuantized),
      "compute_dtype": computeType.map { .string($0.rawValue) } ?? .null,
      "quant_storage": .string(storage.rawValue), "skip_modules": .strings(skippedModules),
      "rules": .string(rules.rawValue), "allow_nonfinite": .bool(allowsNonFinite),
    ])
  }
}

extension UInt8 {
  fileprivate var isPartOfName: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"),
      UInt8(ascii: "."):
      true
    default: false
    }
  }
}
