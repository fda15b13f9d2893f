/// How codes become values once they are packed in 4 or 8 bits.
struct PackedGrid: Sendable {
  /// Bits of a packed code.
  let bits: Int
  /// What is added to codes when they are packed, so that 8 (of 8 bits: 128) stands in the middle of
  /// their range: sums of products lose fewer bits.
  let shift: Int
  /// What codes are masked with before.
  let mask: UInt8
  /// Sixteen values of codes; empty where a packed code's value is the code less `shift`.
  let table: [Float]
  /// Where a zero point of every code is not in the form: LLM.int8().
  let zero: Float
  let wholeTable: WholeTable?

  /// nil where no layout holds the grid.
  init?(_ grid: Grid) {
    switch grid {
    case .affine(let codeBits):
      guard (1...8).contains(codeBits) else { return nil }
      bits = codeBits <= 4 ? 4 : 8
      shift = 1 << (bits - 1) - 1 << (codeBits - 1)
      mask = UInt8(1 << codeBits - 1)
      (table, zero, wholeTable) = ([], 0, nil)
    case .table(_, let values) where [2, 4, 8, 16].contains(values.count):
      (bits, shift, mask, zero) = (4, 0, UInt8(values.count - 1), 0)
      table = values + [Float](repeating: 0, count: 16 - values.count)
      wholeTable = WholeTable(table)
    case .table(_, let values):
      // Signed bytes in ascending order.
      guard values == (-128..<128).map({ Float($0) }) else { return nil }
      (bits, shift, mask, table, zero, wholeTable) = (8, 0, 255, [], 128, nil)
    }
  }

  var isTable: Bool { !table.isEmpty }
  /// What is taken off a packed code in float products.
  var middle: Int { isTable ? 0 : 1 << (bits - 1) }
}

/// A code table as whole numbers of 16 bits: value ≈ (number − bias)·step, off by at most step/2.
struct WholeTable: Sendable {
  let step: Float
  let bias: Float
  let low: [UInt8]
  let high: [UInt8]

  /// nil where values are not finite.
  init?(_ values: [Float]) {
    let largest = values.reduce(0) { max($0, $1.magnitude) }
    guard values.allSatisfy(\.isFinite), largest >= .leastNormalMagnitude * 0x1p20 else {
      return nil
    }
    let step = Self.exactStep(values, largest) ?? largest / 32767
    let numbers = values.map { Int(($0 / step).rounded()) + 32768 }
    self.step = step
    bias = 32768
    low = numbers.map { UInt8(truncatingIfNeeded: $0) }
    high = numbers.map { UInt8(truncatingIfNeeded: $0 >> 8) }
  }

  /// A power of two of which all values are whole multiples, as those of small floats are.
  private static func exactStep(_ values: [Float], _ largest: Float) -> Float? {
    let step = Float(sign: .plus, exponent: largest.exponent - 13, significand: 1)
    return values.allSatisfy { ($0 / step).rounded() == $0 / step } ? step : nil
  }
}
