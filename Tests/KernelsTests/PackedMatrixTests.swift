import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Packed matrices")
struct PackedMatrixTests {
  static let levels = Processor.levels.map(\.name)

  private func values(_ count: Int, _ random: inout SplitMix64) -> [Float] {
    (0..<count).map { _ in Float.random(in: -2...2, using: &random) }
  }

  /// Products in f64, and the sum of magnitudes that bounds are stated in.
  private func products(
    _ sample: PackedSample, _ input: [Float], _ tokens: Int
  ) -> (sums: [Double], sizes: [Double]) {
    let form = sample.matrix.form
    let weights = sample.matrix.dequantized()
    var sums: [Double] = []
    var sizes: [Double] = []
    for token in 0..<tokens {
      for row in 0..<form.rows {
        var (sum, size) = (0.0, 0.0)
        for column in 0..<form.columns {
          let parameter = row * form.groups + form.grouping.group(ofColumn: column)
          let x = Double(input[token * form.columns + column])
          sum += Double(weights[row * form.columns + column]) * x
          // Scale times code range and offset: what cancels in sums of codes and zero points.
          let zero = sample.matrix.zeros.isEmpty ? 1 : Double(sample.matrix.zeros[parameter])
          let range = Double(form.grid.bits <= 4 ? 16 : 256) + zero
          size += (Double(sample.matrix.scales[parameter].magnitude) * range + 1) * x.magnitude
        }
        sums.append(sum)
        sizes.append(size)
      }
    }
    return (sums, sizes)
  }

  private func multiply(
    _ packed: PackedMatrix, _ input: [Float], _ tokens: Int, int8: Bool = false, group: Int? = nil,
    threads: Int = 2, on level: Processor.Level
  ) throws -> [Float] {
    let output = fencedFloats(bytes(of: input), count: tokens * packed.rows) { input, output in
      packed.multiply(
        input, tokens: tokens, int8Group: group, usesInt8: int8, into: &output, threads: threads,
        on: level)
    }
    return try #require(output)
  }

  @Test("weights come out as the matrix states them, any rectangle", arguments: levels)
  func weights(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x71)
    for sample in PackedSample.all(from: &random) {
      let form = sample.matrix.form
      let packed = try PackedMatrix(PackedSource(matrix: sample.matrix), threads: 2)
      let expected = sample.matrix.dequantized()
      let parts = [
        (0..<form.rows, 0..<form.columns), (form.rows / 2..<form.rows, 0..<min(8, form.columns)),
        (form.rows / 3..<form.rows, form.columns / 3..<form.columns - form.columns / 4),
      ]
      for (rows, columns) in parts {
        let found = fencedFloats([0], count: rows.count * columns.count) { _, values in
          packed.dequantize(rows: rows, columns: columns, into: &values, on: level)
        }
        let wanted = rows.flatMap { row in columns.map { expected[row * form.columns + $0] } }
        #expect(
          mismatch(try #require(found), wanted, by: .sameBits) == nil,
          "\(sample.label) \(rows) \(columns)")
      }
    }
  }

  @Test("products are within rounding of f64, the same bits on every level and number of threads")
  func products() throws {
    var random = SplitMix64(seed: 0x72)
    for (number, sample) in PackedSample.all(from: &random).enumerated() {
      let form = sample.matrix.form
      let packed = try PackedMatrix(PackedSource(matrix: sample.matrix), threads: 1)
      let tokens = [1, 2, 3, 4, 8, 9][number % 6]
      let input = values(tokens * form.columns, &random)
      let exact = products(sample, input, tokens)
      let plain = try multiply(packed, input, tokens, threads: 1, on: Processor.levels[0])
      for (index, value) in plain.enumerated() {
        let bound = exact.sizes[index] * 0x1p-22 + 1e-30
        #expect((Double(value) - exact.sums[index]).magnitude <= bound, "\(sample.label) \(index)")
      }
      for level in Processor.levels {
        let found = try multiply(packed, input, tokens, threads: 3, on: level)
        #expect(mismatch(found, plain, by: .sameBits) == nil, "\(sample.label) \(level)")
      }
      let last = Array(input.suffix(form.columns))
      let alone = try multiply(packed, last, 1, on: .best)
      #expect(
        mismatch(alone, Array(plain.suffix(form.rows)), by: .sameBits) == nil, "\(sample.label)")
    }
  }

  @Test(
    "8-bit activations keep their bound, with the same bits on every level",
    arguments: [
      nil, 1, 32, 1000,
    ])
  func int8(group: Int?) throws {
    var random = SplitMix64(seed: 0x73)
    for (number, sample) in PackedSample.all(from: &random).enumerated() {
      let form = sample.matrix.form
      let packed = try PackedMatrix(PackedSource(matrix: sample.matrix), threads: 1)
      let tokens = [1, 2, 3, 4, 8, 9][number % 6]
      let input = values(tokens * form.columns, &random)
      let exact = products(sample, input, tokens)
      let weights = sample.matrix.dequantized()
      let plain = try multiply(
        packed, input, tokens, int8: true, group: group, threads: 1, on: Processor.levels[0])
      for (index, value) in plain.enumerated() {
        let (token, row) = (index / form.rows, index % form.rows)
        // The largest input of the token bounds that of each of its runs.
        let largest = input[token * form.columns..<(token + 1) * form.columns]
          .reduce(0) { max($0, $1.magnitude) }
        let sum = weights[row * form.columns..<(row + 1) * form.columns]
          .reduce(0.0) { $0 + Double($1.magnitude) }
        let bound =
          Double(largest) / 254 * sum + exact.sizes[index]
          * (0x1p-20 + (packed.isTable ? 0x1p-15 : 0))
        #expect(
          (Double(value) - exact.sums[index]).magnitude <= bound * 1.0001,
          "\(sample.label) \(index)")
      }
      for level in Processor.levels {
        let found = try multiply(
          packed, input, tokens, int8: true, group: group, threads: 3, on: level)
        #expect(mismatch(found, plain, by: .sameBits) == nil, "\(sample.label) \(level)")
      }
    }
  }

  @Test("inputs that are whole multiples of their scale are exact in 8 bits")
  func exactInt8() throws {
    var random = SplitMix64(seed: 0x74)
    let sample = PackedSample.all(from: &random)[12]
    let packed = try PackedMatrix(PackedSource(matrix: sample.matrix))
    let input = (0..<packed.columns).map { $0 == 0 ? 127 : Float($0 % 255) - 127 }
    let float = try multiply(packed, input, 1, on: .best)
    let int8 = try multiply(packed, input, 1, int8: true, on: .best)
    for (a, b) in zip(float, int8) { #expect((a - b).magnitude <= 0.01 + a.magnitude * 1e-5) }
  }

  @Test("an input that is not finite makes outputs NaN, in 8 bits too", arguments: levels)
  func notFinite(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x75)
    let sample = PackedSample.all(from: &random)[0]
    let packed = try PackedMatrix(PackedSource(matrix: sample.matrix))
    for value in [Float.nan, .infinity, -.infinity] {
      var input = values(packed.columns, &random)
      input[7] = value
      for int8 in [false, true] {
        let found = try multiply(packed, input, 1, int8: int8, group: 32, on: level)
        #expect(found.allSatisfy { !$0.isFinite })
      }
    }
    let zeros = [Float](repeating: 0, count: packed.columns)
    for int8 in [false, true] {
      let found = try multiply(packed, zeros, 1, int8: int8, on: level)
      #expect(found.allSatisfy { $0 == 0 })
    }
  }

  @Test("parameters take their smallest type")
  func sizes() throws {
    func size(_ scales: [Float], _ zeros: [UInt16]) throws -> Int {
      let form = QuantizedForm(
        rows: 32, columns: 64, grid: .affine(bits: 4), grouping: .columns(size: 32),
        scaleType: .f32, offset: .integer)
      let matrix = QuantizedMatrix(
        form: form, codes: [UInt8](repeating: 3, count: 2048), scales: scales, zeros: zeros)
      return try PackedMatrix(PackedSource(matrix: matrix)).byteCount - 1024
    }
    let eights = [UInt16](repeating: 8, count: 64)
    let mixed = eights.enumerated().map { UInt16($0.offset) }
    #expect(try size([Float](repeating: 0.5, count: 64), eights) == 128)
    #expect(try size([Float](repeating: 0.5, count: 64), mixed) == 192)
    #expect(try size([Float](repeating: 0.1, count: 64), mixed) == 320)
    #expect(try size([Float](repeating: 0x1p100, count: 64), mixed) == 192)
    #expect(try size([Float](repeating: 0.5, count: 64), mixed.map { $0 * 8 }) == 256)
  }

  @Test("forms without a layout are refused")
  func refusals() {
    var form = QuantizedForm(
      rows: 4, columns: 8, grid: .affine(bits: 4), grouping: .columns(size: 4), scaleType: .f16,
      offset: .none)
    #expect(PackedMatrix.canHold(form))
    form.grid = .affine(bits: 9)
    #expect(!PackedMatrix.canHold(form))
    form.grid = .table(name: "bytes", values: (0..<256).map { Float($0) })
    #expect(!PackedMatrix.canHold(form))
    form.grid = .int8
    #expect(PackedMatrix.canHold(form))
    form.grouping = .map(groups: [0, 0, 1, 1, 2, 2, 3, 4], count: 4)
    #expect(!PackedMatrix.canHold(form))
    let matrix = QuantizedMatrix(
      form: QuantizedForm(
        rows: 1, columns: 1, grid: .affine(bits: 9), grouping: .columns(size: 1), scaleType: .f16,
        offset: .none), codes: [1], scales: [1])
    #expect(throws: Failure.self) { try PackedMatrix(PackedSource(matrix: matrix)) }
  }
}
