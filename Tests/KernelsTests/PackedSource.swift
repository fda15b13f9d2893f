import Kernels
import TensorCore
import TestKit

/// A quantized matrix in memory as a source of packed weights.
struct PackedSource: WeightSource {
  let matrix: QuantizedMatrix
  let name = "layer"

  var rows: Int { matrix.form.rows }
  var columns: Int { matrix.form.columns }
  var denseType: DType { .f32 }
  var form: QuantizedForm? { matrix.form }

  func readWeights(
    _ rows: Range<Int>, into weights: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    write(matrix.dequantized(), rows, columns, into: &weights)
  }

  func readCodes(
    _ rows: Range<Int>, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    codes.copy(
      from: matrix.codes.rawSpan.part(rows.lowerBound * columns..<rows.upperBound * columns))
  }

  func readScales(
    _ rows: Range<Int>, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    write(matrix.scales, rows, matrix.form.groups, into: &scales)
  }

  func readOffsets(
    _ rows: Range<Int>, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let values = matrix.zeros.isEmpty ? matrix.offsets : matrix.zeros.map { Float($0) }
    write(values, rows, matrix.form.groups, into: &offsets)
  }

  private func write(
    _ values: [Float], _ rows: Range<Int>, _ width: Int, into target: inout MutableRawSpan
  ) {
    precondition(rows.lowerBound % 32 == 0)
    target.copy(
      from: values.rawSpan.part(rows.lowerBound * width * 4..<rows.upperBound * width * 4))
  }
}

/// Forms of each kind at small sizes, with random numbers in them.
struct PackedSample {
  let label: String
  let matrix: QuantizedMatrix

  static func all(from random: inout SplitMix64) -> [Self] {
    var samples: [Self] = []
    for bits in [1, 2, 3, 4, 5, 8] {
      samples += [
        .init("int \(bits)", 33, 72, .affine(bits: bits), 24, .integer, .f16, &random),
        .init("real \(bits)", 5, 70, .affine(bits: bits), 32, .real(.f16), .bf16, &random),
        .init("added \(bits)", 64, 65, .affine(bits: bits), 65, .added(.bf16), .f32, &random),
        .init("none \(bits)", 31, 41, .affine(bits: bits), 8, .none, .f16, &random),
      ]
    }
    samples += [
      .init("nf4", 40, 128, .nf4, 64, .none, .f32, &random),
      .init("mxfp4", 9, 96, .table(name: "e2m1", values: e2m1), 32, .none, .bf16, &random),
      .init("nf4 moved", 3, 24, .nf4, 7, .integer, .f16, &random),
      .init("long", 2, 1300, .affine(bits: 4), 1300, .integer, .f16, &random),
      .init("one", 1, 1, .affine(bits: 4), 1, .integer, .f16, &random),
      .init("int8", 35, 50, .int8, 50, .none, .f32, factor: 0.0078740157, &random),
      .init("many zeros", 3, 33, .affine(bits: 4), 16, .integer, .f16, zeros: 999, &random),
    ]
    var map = (0..<80).map { Int32($0 % 4) }
    map.shuffle(using: &random)
    map[3] = 0
    for bits in [4, 8] {
      samples.append(
        .init(
          "act-order \(bits)", 34, .init(bits), .map(groups: map, count: 5), .integer, .f16,
          &random))
    }
    return samples
  }

  static let e2m1: [Float] = [
    0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6,
  ]

  private init(
    _ label: String, _ rows: Int, _ columns: Int, _ grid: Grid, _ group: Int, _ offset: Offset,
    _ scaleType: DType, factor: Float? = nil, zeros: UInt16? = nil, _ random: inout SplitMix64
  ) {
    let form = QuantizedForm(
      rows: rows, columns: columns, grid: grid, grouping: .columns(size: group),
      scaleType: scaleType, offset: offset, factor: factor)
    self.init(label, form, zeros: zeros, &random)
  }

  private init(
    _ label: String, _ rows: Int, _ bits: Grid, _ grouping: Grouping, _ offset: Offset,
    _ scaleType: DType, _ random: inout SplitMix64
  ) {
    guard case .map(let groups, _) = grouping else { preconditionFailure() }
    self.init(
      label,
      QuantizedForm(
        rows: rows, columns: groups.count, grid: bits, grouping: grouping, scaleType: scaleType,
        offset: offset), zeros: nil, &random)
  }

  private init(
    _ label: String, _ form: QuantizedForm, zeros: UInt16?, _ random: inout SplitMix64
  ) {
    self.label = label
    let top = UInt8(1 << form.grid.bits - 1)
    let codes = (0..<form.codeCount).map { _ in UInt8.random(in: 0...top, using: &random) }
    let scales = (0..<form.parameterCount).map { _ in
      Self.rounded(Float.random(in: 0.01...0.1, using: &random), to: form.scaleType)
    }
    var whole: [UInt16] = []
    var real: [Float] = []
    switch form.offset {
    case .none: break
    case .integer:
      let highest = zeros ?? UInt16(top)
      whole = (0..<form.parameterCount).map { _ in .random(in: 0...highest, using: &random) }
    case .real(let type), .added(let type):
      real = (0..<form.parameterCount).map { _ in
        Self.rounded(Float.random(in: -1...1, using: &random), to: type)
      }
    }
    matrix = QuantizedMatrix(form: form, codes: codes, scales: scales, zeros: whole, offsets: real)
  }

  private static func rounded(_ value: Float, to type: DType) -> Float {
    switch type {
    case .f16: Float(Float16(value))
    case .bf16: Float(bitPattern: value.bitPattern & 0xFFFF_0000)
    default: value
    }
  }
}

extension Grid {
  fileprivate init(_ bits: Int) { self = .affine(bits: bits) }
}
