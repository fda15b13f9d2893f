import Codecs
import Kernels
import TensorCore
import TestKit

/// The numbers of a layer in plain arrays, and the tensors that hold them in each layout: packed
/// bit by bit, so that nothing of what is tested is needed to make the test.
struct Numbers {
  var rows: Int
  var columns: Int
  var bits: Int
  /// The group of each column.
  var groups: [Int32]
  var groupCount: Int
  /// `[row][column]`.
  var codes: [UInt8]
  /// `[row][group]`.
  var zeros: [UInt16]
  /// Half-precision bit patterns, `[row][group]`.
  var scales: [UInt16]
  var scaleType = DType.f16

  /// Neighbouring columns in groups of `groupSize`, -1 for whole rows; random codes and scales,
  /// zero points in `zeros`.
  static func random(
    _ rows: Int, _ columns: Int, bits: Int, groupSize: Int, zeros: ClosedRange<UInt16>,
    using random: inout SplitMix64
  ) -> Numbers {
    let size = groupSize == -1 ? columns : groupSize
    let count = columns.dividedRoundingUp(by: size)
    let limit = UInt8((1 << bits) - 1)
    return Numbers(
      rows: rows, columns: columns, bits: bits, groups: (0..<columns).map { Int32($0 / size) },
      groupCount: count,
      codes: (0..<rows * columns).map { _ in UInt8.random(in: 0...limit, using: &random) },
      zeros: (0..<rows * count).map { _ in UInt16.random(in: zeros, using: &random) },
      // Positive, negative, zero and denormal, never infinite or NaN.
      scales: (0..<rows * count).map { _ in
        UInt16.random(in: 0...0x7BFF, using: &random)
          | (Bool.random(using: &random) ? 0x8000 : 0)
      })
  }

  /// The codes of a row or of the fields of a group as one little-endian bit stream.
  static func stream(_ codes: [UInt8], bits: Int) -> [UInt32] {
    var words = [UInt32](repeating: 0, count: codes.count * bits / 32)
    for (index, code) in codes.enumerated() {
      for bit in 0..<bits where code >> bit & 1 == 1 {
        words[(index * bits + bit) / 32] |= 1 << ((index * bits + bit) % 32)
      }
    }
    return words
  }

  /// Eight codes a word in AWQ's order.
  static func interleaved(_ codes: [UInt8]) -> [UInt32] {
    stride(from: 0, to: codes.count, by: 8).map { start in
      [0, 2, 4, 6, 1, 3, 5, 7].enumerated().reduce(0) { word, place in
        word | UInt32(codes[start + place.element]) << UInt32(4 * place.offset)
      }
    }
  }
}

extension Numbers {
  /// The parts of a GPTQ layer named `layer`; `stored` makes a field from a zero point.
  func gptq(index: Bool = true, stored: (UInt16) -> UInt8) throws -> [Tensor] {
    let streams = (0..<rows).map { row in
      Self.stream(Array(codes[row * columns..<(row + 1) * columns]), bits: bits)
    }
    let words = columns * bits / 32
    let qweight = (0..<words).flatMap { word in streams.map { $0[word] } }
    let qzeros = (0..<groupCount).flatMap { group in
      Self.stream((0..<rows).map { stored(zeros[$0 * groupCount + group]) }, bits: bits)
    }
    let parts = [
      try tensor("qweight", .i32, [words, rows], qweight),
      try tensor("qzeros", .i32, [groupCount, rows * bits / 32], qzeros), try scaleTensor(),
    ]
    let map = try tensor("g_idx", .i32, [columns], groups.map { UInt32(bitPattern: $0) })
    return index ? parts + [map] : parts
  }

  func gptqV1() throws -> [Tensor] {
    let mask = UInt16((1 << bits) - 1)
    return try gptq { UInt8(($0 &- 1) & mask) }
  }

  func gptqV2() throws -> [Tensor] {
    try gptq { UInt8($0) }
  }

  /// The parts of an AWQ GEMM layer named `layer`.
  func awq() throws -> [Tensor] {
    let qweight = (0..<columns).flatMap { column in
      Self.interleaved((0..<rows).map { codes[$0 * columns + column] })
    }
    let qzeros = (0..<groupCount).flatMap { group in
      Self.interleaved((0..<rows).map { UInt8(zeros[$0 * groupCount + group]) })
    }
    return [
      try tensor("qweight", .i32, [columns, rows / 8], qweight),
      try tensor("qzeros", .i32, [groupCount, rows / 8], qzeros), try scaleTensor(),
    ]
  }

  /// The parts of an AWQ GEMV layer named `layer`, `width` words of eight groups in a row.
  func awqGEMV(width: Int) throws -> [Tensor] {
    let qweight = (0..<rows).flatMap { row in
      Self.stream(Array(codes[row * columns..<(row + 1) * columns]), bits: 4)
    }
    let padding = width * 8 - groupCount
    let qzeros = (0..<rows).flatMap { row in
      Self.stream(
        zeros[row * groupCount..<(row + 1) * groupCount].map { UInt8($0) }
          + [UInt8](repeating: 0, count: padding), bits: 4)
    }
    let padded = (0..<rows).flatMap { row in
      scales[row * groupCount..<(row + 1) * groupCount] + [UInt16](repeating: 0, count: padding)
    }
    return [
      try tensor("qweight", .i32, [rows, columns / 8], qweight),
      try tensor("qzeros", .i32, [rows, width], qzeros),
      try Tensor.made(
        "layer.scales", scaleType, [rows, width * 8],
        padded.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }),
    ]
  }

  /// The parts of a GEMV_FAST layer named `layer`; `term` makes one from a scale and a zero point.
  func awqGEMVFast(
    width: Int, terms: String = "qzeros", term: (UInt16, UInt16) -> UInt16
  ) throws -> [Tensor] {
    let qweight = Reference.packQuads(codes, rows: rows, columns: columns)
    let padding = [UInt16](repeating: 0, count: (width * 8 - groupCount) * rows)
    let turned = (0..<groupCount).flatMap { group in
      (0..<rows).map { $0 * groupCount + group }
    }
    let padded = turned.map { scales[$0] } + padding
    let added = turned.map { term(scales[$0], zeros[$0]) } + padding
    return [
      try Tensor.made("layer.qweight", .i16, [rows / 4, columns], qweight),
      try Tensor.made(
        "layer.scales", scaleType, [width * 8, rows],
        padded.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }),
      try Tensor.made(
        "layer.\(terms)", scaleType, [width * 8, rows],
        added.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }),
    ]
  }

  private func scaleTensor() throws -> Tensor {
    let turned = (0..<groupCount).flatMap { group in
      (0..<rows).map { scales[$0 * groupCount + group] }
    }
    return try Tensor.made(
      "layer.scales", scaleType, [groupCount, rows],
      turned.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] })
  }

  private func tensor(
    _ part: String, _ dtype: DType, _ shape: [Int], _ words: [UInt32]
  ) throws -> Tensor {
    try Tensor.made(
      "layer.\(part)", dtype, shape,
      words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } })
  }
}

extension Tensor {
  /// A tensor in memory.
  static func made(
    _ name: String, _ dtype: DType, _ dimensions: [Int], _ bytes: [UInt8]
  ) throws -> Tensor {
    guard let shape = Shape(dimensions),
      let info = TensorInfo(name: name, dtype: dtype, shape: shape), info.byteCount == bytes.count
    else { throw Failure(.internal, at: name, "the test's tensor is wrong") }
    return Tensor(info: info, source: MemorySource(bytes), offset: 0)
  }
}
