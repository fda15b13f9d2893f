internal import Kernels
public import TensorCore

/// How a chunk is taken apart into streams that shrink (`Formats/packed-quant.md`, "Transforms").
public enum PackedTransform: Sendable, Equatable {
  /// One stream: the chunk itself.
  case bytes
  /// A stream for each byte of the elements; turned ones are rotated left by a bit before.
  case planes(width: Int, turned: Bool)
  /// Each element minus the one before it, then planes.
  case differences(width: Int)
  /// One stream: packed codes in the order of the layer, whole codes in each byte.
  case codes(bits: Int, CodeOrder)

  /// How codes lie in 32-bit words.
  public enum CodeOrder: Sendable, Equatable {
    /// In one run of bits.
    case along
    /// In a run of bits down each of so many columns of words.
    case down(columns: Int)
    /// As in AWQ GEMM, 4 bits.
    case interleaved
  }

  /// What is best for elements of a type; nothing is known of their meaning.
  public init(for dtype: DType) {
    self =
      switch dtype {
      case .bf16: .planes(width: 2, turned: true)
      case .f32, .c64: .planes(width: 4, turned: true)
      case .f16, .i16, .u16: .planes(width: 2, turned: false)
      case .i32, .u32: .planes(width: 4, turned: false)
      case .f64, .i64, .u64: .planes(width: 8, turned: false)
      default: .bytes
      }
  }

  var streams: Int {
    switch self {
    case .bytes, .codes: 1
    case .planes(let width, _), .differences(let width): width
    }
  }

  /// A chunk is a multiple of so many bytes (PQ-19); nil where the parameters are out of bounds or
  /// it would be too large.
  var unit: Int? {
    switch self {
    case .bytes: 1
    case .planes(let width, let turned):
      [2, 4].contains(width) || width == 8 && !turned ? width : nil
    case .differences(let width): width == 4 || width == 8 ? width : nil
    case .codes(let bits, _) where !(1...8).contains(bits): nil
    case .codes(let bits, .along): bits
    case .codes(let bits, .interleaved): bits == 4 ? 4 : nil
    case .codes(let bits, .down(let columns)):
      columns > 0
        ? columns.multiplied(by: 4 * WordRows.unit(bits: bits)).flatMap {
          $0 <= PackedQuant.Limits.chunkBytes ? $0 : nil
        } : nil
    }
  }

  /// Bytes of each stream of a chunk of whole units.
  func streamBytes(of chunk: Int) -> Int {
    switch self {
    case .bytes: chunk
    case .planes(let width, _), .differences(let width): chunk / width
    case .codes(let bits, _): CodeBytes.byteCount(bits: bits, count: Self.codes(in: chunk, bits))
    }
  }

  static func codes(in bytes: Int, _ bits: Int) -> Int { bytes * 8 / bits }

  /// Whether a blob of that size can be cut into whole units.
  func fits(_ byteCount: Int) -> Bool { unit.map { byteCount % $0 == 0 } ?? false }

  /// The size of chunks to write: whole units, near the usual size.
  var chunkBytes: Int {
    let unit = unit ?? 1
    return max(unit, PackedQuant.chunkBytes / unit * unit)
  }

  /// A word for each stream, for people.
  public var streamNames: [String] {
    switch self {
    case .bytes: ["bytes"]
    case .planes(2, true): ["mantissa", "exponent"]
    case .planes(2, false): ["low", "high"]
    case .planes(4, true): ["mantissa 0", "mantissa 1", "mantissa 2", "exponent"]
    case .planes(let width, _): (0..<width).map { "byte \($0)" }
    case .differences(let width): (0..<width).map { "difference \($0)" }
    case .codes(let bits, _): ["\(bits)-bit codes"]
    }
  }
}
