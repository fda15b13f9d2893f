import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// A made-up 4-bit layer of bitsandbytes: its tensors, packed nibble by nibble, and its numbers.
struct FlatLayer: Sendable, CustomTestStringConvertible {
  var rows: Int
  var columns: Int
  var blockSize: Int
  var kind: QuantState.Kind
  var isNested: Bool
  var storage = DType.u8
  var maximumType = DType.f32

  static let offset: Float = 0.0625 + 0x1p-20

  var testDescription: String {
    "\(rows)x\(columns) b\(blockSize) \(kind)\(isNested ? " nested" : "") \(storage) \(maximumType)"
  }

  /// Blocks in rows, rows in blocks, blocks over the ends of rows, odd rows, one number, and
  /// every label of the bytes.
  static let all: [FlatLayer] =
    [
      (1, 1, 32), (3, 1, 64), (33, 1, 32), (1, 33, 32), (64, 128, 64), (40, 96, 64), (33, 33, 64),
      (65, 31, 32), (48, 100, 256), (7, 5, 4096), (64, 64, 4096), (96, 320, 128), (35, 2, 512),
    ].flatMap { rows, columns, size in
      [(QuantState.Kind.nf4, false), (.fp4, true)].map {
        FlatLayer(rows: rows, columns: columns, blockSize: size, kind: $0.0, isNested: $0.1)
      }
    }
    + [DType.i8, .f16, .bf16, .f32, .f64].map {
      FlatLayer(
        rows: 32, columns: 48, blockSize: 64, kind: .nf4, isNested: false, storage: $0)
    }
    + [DType.f16, .bf16].map {
      FlatLayer(
        rows: 32, columns: 48, blockSize: 64, kind: .fp4, isNested: false, maximumType: $0)
    }
    + [FlatLayer(rows: 130, columns: 513, blockSize: 32, kind: .nf4, isNested: true)]

  struct Made {
    let tensors: [Tensor]
    let codes: [UInt8]
    let weights: [Float]
  }

  func made(using random: inout SplitMix64) throws -> Made {
    let count = rows * columns
    let codes = (0..<count).map { _ in UInt8.random(in: 0...15, using: &random) }
    let (tensors, maxima) = try maxima((count + blockSize - 1) / blockSize, using: &random)
    guard case .table(_, let table) = kind.grid else { preconditionFailure("no table") }
    let bytes = stride(from: 0, to: count, by: 2).map {
      codes[$0] * 16 + ($0 + 1 < count ? codes[$0 + 1] : UInt8(7))
    }
    let state = text(nested: isNested)
    return Made(
      tensors: [
        try Tensor.made(
          "layer.weight", storage, [bytes.count * 8 / storage.bits, 1], bytes),
        try Tensor.made("layer.weight.quant_map", .f32, [16], table.rawSpan.array),
        try Tensor.made(
          "layer.weight.quant_state.bitsandbytes__\(kind.rawValue)", .u8, [state.utf8.count],
          Array(state.utf8)),
      ] + tensors, codes: codes,
      weights: (0..<count).map { table[Int(codes[$0])] * maxima[$0 / blockSize] })
  }

  private func text(nested: Bool) -> String {
    let start =
      #"{"quant_type": "\#(kind)", "blocksize": \#(blockSize), "dtype": "float16", "#
      + #""shape": [\#(rows), \#(columns)]"#
    let end =
      #", "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": "#
      + "\(Double(Self.offset))"
    return start + (nested ? end : "") + "}"
  }

  /// The tensors of block maxima, and the numbers they stand for.
  private func maxima(
    _ blocks: Int, using random: inout SplitMix64
  ) throws -> ([Tensor], [Float]) {
    guard isNested else {
      let halves = (0..<blocks).map { _ in UInt16.random(in: 0x0001...0x4FFF, using: &random) }
      let values = halves.map { half -> Float in
        maximumType == .bf16
          ? Float(bitPattern: UInt32(half) << 16) : Float(Float16(bitPattern: half))
      }
      let bytes =
        maximumType == .f32
        ? values.rawSpan.array
        : halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
      return ([try Tensor.made("layer.weight.absmax", maximumType, [blocks], bytes)], values)
    }
    let codes = random.bytes(blocks)
    let table = (0..<256).map { _ in Float.random(in: -1...1, using: &random) }
    let outer = (0..<(blocks + 255) / 256).map { _ in Float.random(in: 0...0.1, using: &random) }
    let values = codes.enumerated().map { index, code -> Float in
      let product = table[Int(code)] * outer[index / 256]
      return product + Self.offset
    }
    return (
      [
        try Tensor.made("layer.weight.absmax", .u8, [blocks], codes),
        try Tensor.made(
          "layer.weight.nested_absmax", .f32, [outer.count], outer.rawSpan.array),
        try Tensor.made("layer.weight.nested_quant_map", .f32, [256], table.rawSpan.array),
      ], values
    )
  }
}
