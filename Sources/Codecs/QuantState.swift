public import Kernels
public import TensorCore

/// The state that bitsandbytes keeps of a 4-bit weight, as the JSON text of a U8 tensor
/// (`Formats/bitsandbytes.md`, BNB-2 to BNB-6).
public struct QuantState: Sendable, Equatable {
  /// The two tables, by the names they have in the state and in the name of its tensor.
  public enum Kind: String, Sendable, CaseIterable {
    case nf4, fp4

    public var grid: Grid { self == .nf4 ? .nf4 : .fp4 }
    /// The code of 0, with which the last half of a byte is filled where the codes are odd in number.
    public var zeroCode: UInt8 { self == .nf4 ? 7 : 0 }
  }

  /// How block maxima are packed themselves (double quantization).
  public struct Nested: Sendable, Equatable {
    public var blockSize: Int
    /// What was subtracted from the maxima before they were packed.
    public var offset: Float

    public init(blockSize: Int = 256, offset: Float) {
      self.blockSize = blockSize
      self.offset = offset
    }
  }

  public static let blockSizes = [32, 64, 128, 256, 512, 1024, 2048, 4096]

  public var kind: Kind
  /// Neighbours in the flat weight that share a maximum.
  public var blockSize: Int
  /// What the peer dequantizes to: F16, BF16 or F32.
  public var dtype: DType
  /// Outputs and inputs.
  public var rows: Int
  public var columns: Int
  /// nil where the maxima are plain floats.
  public var nested: Nested?

  public init(
    kind: Kind, blockSize: Int = 64, dtype: DType, rows: Int, columns: Int, nested: Nested? = nil
  ) {
    self.kind = kind
    self.blockSize = blockSize
    self.dtype = dtype
    self.rows = rows
    self.columns = columns
    self.nested = nested
  }

  /// Codes, blocks, and blocks of blocks. `rows` × `columns` must not overflow.
  public var codeCount: Int { rows * columns }
  public var blockCount: Int { codeCount.dividedRoundingUp(by: blockSize) }
  public var nestedBlockCount: Int { blockCount.dividedRoundingUp(by: nested?.blockSize ?? 256) }

  /// What a weight may be dequantized to and computed in, by torch's names.
  public static let types: [(name: String, type: DType)] = [
    ("float16", .f16), ("bfloat16", .bf16), ("float32", .f32),
  ]

  /// What `bnb_4bit_quant_storage` may name: the type that the packed bytes are labelled with.
  public static let storages: [(name: String, type: DType)] = [
    ("uint8", .u8), ("int8", .i8), ("float16", .f16), ("bfloat16", .bf16), ("float32", .f32),
    ("float64", .f64),
  ]

  /// The JSON text, byte for byte as the peer writes it. Traps on a type that has no name.
  public var text: String {
    guard let type = Self.types.first(where: { $0.type == dtype }) else {
      preconditionFailure("\(dtype) is no type of a quant state")
    }
    var text =
      #"{"quant_type": "\#(kind.rawValue)", "blocksize": \#(blockSize), "dtype": "\#(type.name)", "#
      + #""shape": [\#(rows), \#(columns)]"#
    if let nested {
      text +=
        #", "nested_blocksize": \#(nested.blockSize), "nested_dtype": "float32", "#
        + #""nested_offset": \#(Double(nested.offset))"#
    }
    return text + "}"
  }

  /// The names of a module's tensors, behind the module's own.
  public enum Part {
    public static let weight = "weight"
    public static let absmax = "weight.absmax"
    public static let map = "weight.quant_map"
    public static let nestedAbsmax = "weight.nested_absmax"
    public static let nestedMap = "weight.nested_quant_map"
    /// What a table's name is put behind.
    static let statePrefix = "weight.quant_state.bitsandbytes__"

    public static func state(_ kind: Kind) -> String { statePrefix + kind.rawValue }

    static let all =
      [weight, absmax, map, nestedAbsmax, nestedMap] + Kind.allCases.map { state($0) }
  }
}
