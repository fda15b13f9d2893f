import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Matrices column by column")
struct ColumnsTests {
  private static let shapes: [(columns: Int, rows: Int)] =
    [1, 3, 4, 5, 8, 9, 15, 16, 17, 33].flatMap { rows in
      [1, 2, 7, 8, 9, 17, 32].map { ($0, rows) }
    } + [(128, 16), (129, 5), (300, 3)]

  private static let rules = [
    RangeRule(top: 15, zero: 8), RangeRule(top: 15, zero: nil), RangeRule(top: 3, zero: nil),
    RangeRule(top: 2, zero: 1, mirrors: true), RangeRule(top: 255, zero: 128),
  ]

  /// Plain numbers, of one sign, zeros, tiny ones.
  private func fill(_ count: Int, _ kind: Int, from random: inout SplitMix64) -> [Float] {
    (0..<count).map { _ in
      let value = Float.random(in: -1...1, using: &random)
      return [value, value.magnitude, -value.magnitude, 0, value * 0x1p-100][kind]
    }
  }

  private func ranges(
    _ values: [Float], _ shape: (columns: Int, rows: Int), _ importance: [Float]?,
    by rule: RangeRule, on level: Processor.Level
  ) throws -> (scales: [Float], zeros: [Float]) {
    var zeros = AlignedBytes(count: shape.rows * 4)
    let scales = fencedFloats(bytes(of: values), count: shape.rows) { values, scales in
      zeros.withMutableBytes(count: zeros.count) { zeros in
        if let importance {
          Columns.ranges(
            values, columns: shape.columns, rows: shape.rows, importance: importance.rawSpan,
            by: rule, scales: &scales, zeros: &zeros, on: level)
        } else {
          Columns.ranges(
            values, columns: shape.columns, rows: shape.rows, by: rule, scales: &scales,
            zeros: &zeros, on: level)
        }
      }
    }
    return (try #require(scales), floats(of: zeros.bytes.array))
  }

  private func row(_ row: Int, of values: [Float], _ rows: Int) -> [Float] {
    stride(from: row, to: values.count, by: rows).map { values[$0] }
  }

  @Test("the whole range", arguments: Processor.levels.map(\.name))
  func wholeRanges(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x81)
    for (number, shape) in Self.shapes.enumerated() {
      let rule = Self.rules[number % Self.rules.count]
      let values = fill(shape.columns * shape.rows, number / 5 % 5, from: &random)
      let found = try ranges(values, shape, nil, by: rule, on: level)
      let expected = (0..<shape.rows).map {
        Reference.range(row($0, of: values, shape.rows), by: rule)
      }
      #expect(
        mismatch(found.scales, expected.map(\.scale), by: .sameBits) == nil, "\(shape) \(rule)")
      #expect(mismatch(found.zeros, expected.map(\.zero), by: .within(0)) == nil, "\(shape)")
    }
  }

  @Test("the shrunk range of least error")
  func searchedRanges() throws {
    var random = SplitMix64(seed: 0x82)
    let shape = (columns: 130, rows: 5)
    for (number, norm) in [Float(2), 2.4, 3, 1].enumerated() {
      var rule = Self.rules[number % 2]
      rule.search = RangeSearch(norm: norm, grid: 40)
      let values = fill(shape.columns * shape.rows, 0, from: &random)
      let importance = number == 0 ? nil : fill(shape.columns, 1, from: &random)
      let found = try ranges(values, shape, importance, by: rule, on: .best)
      for level in Processor.levels {
        let other = try ranges(values, shape, importance, by: rule, on: level)
        #expect(mismatch(other.scales, found.scales, by: .sameBits) == nil, "\(level) \(norm)")
        #expect(mismatch(other.zeros, found.zeros, by: .sameBits) == nil, "\(level) \(norm)")
      }
      for row in 0..<shape.rows {
        let tried = Reference.ranges(
          self.row(row, of: values, shape.rows), importance: importance, by: rule, power: power)
        let least = tried.map(\.error).min() ?? 0
        let chosen = try #require(
          tried.min {
            ($0.scale - found.scales[row]).magnitude < ($1.scale - found.scales[row]).magnitude
          })
        #expect(chosen.error <= least * 1.0001, "row \(row), norm \(norm)")
      }
    }
  }

  /// By square roots: norms here are multiples of 1/5 within 1e-12.
  private func power(_ base: Double, _ exponent: Double) -> Double {
    guard base > 0 else { return 0 }
    var (result, factor, rest) = (1.0, base, exponent)
    while rest >= 1 { (result, rest) = (result * base, rest - 1) }
    for _ in 0..<40 {
      factor = factor.squareRoot()
      rest *= 2
      if rest >= 1 { (result, rest) = (result * factor, rest - 1) }
    }
    return result
  }

  @Test("codes", arguments: Processor.levels.map(\.name))
  func codes(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x83)
    for shape in Self.shapes {
      // Many exact ties, and numbers far outside.
      let values = (0..<shape.columns * shape.rows).map { _ in
        Float(Int.random(in: -80...80, using: &random)) / 4
      }
      let scales = (0..<shape.rows).map { Float([0.5, 1, 0.25][$0 % 3]) }
      let zeros = (0..<shape.rows).map { Float($0 % 16) }
      var squares = AlignedBytes(count: shape.rows * 4)
      let found = fenced(bytes(of: values), count: values.count) { values, codes in
        squares.withMutableBytes(count: squares.count) {
          Columns.codes(
            values, columns: shape.columns, rows: shape.rows, scales: scales.rawSpan,
            zeros: zeros.rawSpan, top: 15, into: &codes, squares: &$0, on: level)
        }
      }
      let expected = values.enumerated().map { index, value in
        let row = index % shape.rows
        return UInt8(Reference.code(value, scales[row], zeros[row], top: 15))
      }
      #expect(found == expected, "\(shape)")
      let sums = (0..<shape.rows).map { row in
        stride(from: row, to: values.count, by: shape.rows).reduce(Float(0)) { sum, index in
          let delta = values[index] - scales[row] * (Float(expected[index]) - zeros[row])
          return sum + delta * delta
        }
      }
      #expect(mismatch(floats(of: squares.bytes.array), sums, by: .sameBits) == nil, "\(shape)")
    }
  }

  @Test("error feedback", arguments: Processor.levels.map(\.name), [false, true])
  func feedback(level: String, drifts: Bool) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x84)
    for shape in Self.shapes where shape.columns <= FeedbackBlock.maxColumns {
      let (columns, rows) = shape
      let stride = columns + 3
      let values = fill(columns * rows, 0, from: &random)
      var factor = fill(columns * stride, 0, from: &random).map { $0 / 4 }
      for i in 0..<columns { factor[i * stride + i] = 1 + Float(i % 3) }
      let drift = drifts ? fill(columns * stride, 0, from: &random).map { $0 / 16 } : nil
      let groups = (0..<columns).map { UInt32($0 / 8) }
      let parameters = (Int(groups[columns - 1]) + 1) * rows
      let scales = fill(parameters, 1, from: &random).map { $0 / 8 + 0.01 }
      let zeros = (0..<parameters).map { Float($0 % 16) }
      var block = FeedbackBlock(rows: rows)
      if let drift {
        block.round(
          values.rawSpan, original: values.rawSpan, factor: factor.rawSpan, drift: drift.rawSpan,
          stride: stride,
          scales: scales.rawSpan, zeros: zeros.rawSpan, groups: groups, top: 15, on: level)
      } else {
        block.round(
          values.rawSpan, original: values.rawSpan, factor: factor.rawSpan, stride: stride,
          scales: scales.rawSpan,
          zeros: zeros.rawSpan, groups: groups, top: 15, on: level)
      }
      let codes = block.withCodes(columns) { $0.array }
      let errors = block.withErrors(columns) { floats(of: $0.array) }
      for row in 0..<rows {
        let expected = Reference.feedback(
          self.row(row, of: values, rows), factor: factor, drift: drift, stride: stride,
          scales: groups.map { scales[Int($0) * rows + row] },
          zeros: groups.map { zeros[Int($0) * rows + row] }, top: 15)
        #expect(
          mismatch(self.row(row, of: errors, rows), expected.errors, by: .sameBits) == nil,
          "\(shape) row \(row)")
        let own = Swift.stride(from: row, to: codes.count, by: rows).map { codes[$0] }
        #expect(own == expected.codes, "\(shape) row \(row)")
      }
    }
  }
}
