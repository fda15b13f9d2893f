import Kernels
import TensorCore
import TestKit
import Testing

/// Numbers on a device, written and read as arrays.
extension Compute {
  func buffer(_ values: [Float]) throws -> Buffer {
    let buffer = try makeBuffer(values.count)
    try write(values.rawSpan, to: buffer, at: 0)
    return buffer
  }

  func values(_ buffer: Buffer) throws -> [Float] {
    var block = AlignedBytes(count: buffer.count * 4)
    return try block.withMutableBytes(count: block.count) { bytes in
      try read(buffer, at: 0, into: &bytes)
      return (0..<buffer.count).map { bytes.bytes.float32(at: $0) }
    }
  }
}

extension SplitMix64 {
  /// Numbers of about -1...1.
  mutating func floats(_ count: Int, times factor: Float = 1) -> [Float] {
    (0..<count).map { _ in Float(Int64(bitPattern: next()) >> 40) / Float(1 << 23) * factor }
  }
}

/// What runs on both devices: outputs of the fast one, with several threads and levels, against the reference.
struct ComputeCheck {
  let body: (any Compute) throws -> [Float]

  init(_ body: @escaping (any Compute) throws -> [Float]) {
    self.body = body
  }

  /// At most `bound` times the largest expected magnitude (or 1) off; one and three threads give the same bits.
  func run(
    within bound: Float, on levels: [Processor.Level] = Processor.levels,
    _ place: SourceLocation = #_sourceLocation
  ) throws {
    let expected = try body(ReferenceCompute())
    let size = expected.reduce(1) { max($0, $1.magnitude) }
    for level in levels {
      let found = try body(CPUCompute(threads: 1, on: level))
      let again = try body(CPUCompute(threads: 3, on: level))
      #expect(found.map(\.bitPattern) == again.map(\.bitPattern), "\(level)", sourceLocation: place)
      try #require(found.count == expected.count, sourceLocation: place)
      let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
      let isNumber = found.allSatisfy { $0.isFinite }
      #expect(
        isNumber && worst <= bound * size, "\(level): \(worst) of \(size)", sourceLocation: place)
    }
  }

  /// All levels give the bits of the plainest one.
  func levelsAgree(_ place: SourceLocation = #_sourceLocation) throws {
    let expected = try body(CPUCompute(threads: 1, on: Processor.levels[0])).map(\.bitPattern)
    for level in Processor.levels.dropFirst() {
      let found = try body(CPUCompute(threads: 1, on: level)).map(\.bitPattern)
      #expect(found == expected, "\(level)", sourceLocation: place)
    }
  }
}

/// A matrix in memory: dense, or codes with a scale and whole zero point for each group.
struct DrawnSource: WeightSource {
  let name = "drawn"
  let rows: Int
  let columns: Int
  let denseType: DType
  let form: QuantizedForm?
  let codes: [UInt8]
  let weights: [Float]
  let scales: [Float]

  /// Dense numbers that `type` holds exactly.
  init(rows: Int, columns: Int, type: DType, from random: inout SplitMix64) {
    (self.rows, self.columns, denseType, form) = (rows, columns, type, nil)
    (codes, scales) = ([], [])
    weights = random.floats(rows * columns).map { value in
      switch type {
      case .f16: Float(Float16(value))
      case .bf16: Float(bitPattern: value.bitPattern & 0xFFFF_0000)
      default: value
      }
    }
  }

  /// Codes of `bits` bits, groups of `group` columns or dealt to them in turn where `isPermuted`.
  init(
    rows: Int, columns: Int, bits: Int, group: Int, isPermuted: Bool = false,
    from random: inout SplitMix64
  ) {
    (self.rows, self.columns, denseType) = (rows, columns, .f16)
    let count = columns.dividedRoundingUp(by: group)
    let grouping: Grouping =
      isPermuted
      ? .map(groups: (0..<columns).map { Int32($0 % count) }, count: count)
      : .columns(size: group)
    let form = QuantizedForm(
      rows: rows, columns: columns, grid: .affine(bits: bits), grouping: grouping,
      scaleType: .f16, offset: .integer)
    let codes = random.bytes(rows * columns).map { $0 & UInt8(1 << bits - 1) }
    let scales = random.floats(rows * count).map { Float(Float16($0.magnitude / 16 + 0.01)) }
    let zero = Float(1 << (bits - 1))
    weights = codes.enumerated().map { index, code in
      let group = grouping.group(ofColumn: index % columns)
      return scales[index / columns * count + group] * (Float(code) - zero)
    }
    (self.form, self.codes, self.scales) = (form, codes, scales)
  }

  func readWeights(
    _ rows: Range<Int>, into weights: inout MutableRawSpan, _ workspace: Workspace
  ) {
    let values = Array(self.weights[rows.lowerBound * columns..<rows.upperBound * columns])
    weights.copy(from: values.rawSpan)
  }

  func readCodes(_ rows: Range<Int>, into codes: inout MutableRawSpan, _ workspace: Workspace) {
    let values = Array(self.codes[rows.lowerBound * columns..<rows.upperBound * columns])
    codes.copy(from: values.rawSpan)
  }

  func readScales(_ rows: Range<Int>, into scales: inout MutableRawSpan, _ workspace: Workspace) {
    let groups = form?.groups ?? 0
    let values = Array(self.scales[rows.lowerBound * groups..<rows.upperBound * groups])
    scales.copy(from: values.rawSpan)
  }

  func readOffsets(_ rows: Range<Int>, into offsets: inout MutableRawSpan, _ workspace: Workspace) {
    let zero = Float(1 << ((form?.grid.bits ?? 1) - 1))
    let values = [Float](repeating: zero, count: rows.count * (form?.groups ?? 0))
    offsets.copy(from: values.rawSpan)
  }
}
