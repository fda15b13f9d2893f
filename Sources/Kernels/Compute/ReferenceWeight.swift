internal import TensorCore

/// A weight in f32, `[rows][columns]`, and how its inputs are treated.
final class ReferenceWeight: LoadedWeight {
  let rows: Int
  let columns: Int
  let values: [Float]
  let rule: ActivationRule
  var byteCount: Int { values.count * 4 }

  init(_ source: any WeightSource, _ rule: ActivationRule) throws {
    (rows, columns, self.rule) = (source.rows, source.columns, rule)
    var bytes = AlignedBytes(count: source.rows * source.columns * 4)
    try bytes.withMutableBytes(count: bytes.count) {
      try source.readWeights(0..<source.rows, into: &$0, Workspace())
    }
    values = bytes.withBytes { bytes in
      (0..<source.rows * source.columns).map { bytes.float32(at: $0) }
    }
  }

  /// The product with one token [columns], as the rule has it: [rows].
  func product(_ input: [Float]) -> [Float] {
    let (treated, kept) = rule.treated(input)
    return (0..<rows).map { row in
      var sum = 0.0
      for column in 0..<columns {
        let value = Double(treated[column]) + Double(kept[column])
        sum += value * Double(values[row * columns + column])
      }
      return Float(sum)
    }
  }
}

extension ActivationRule {
  /// The input as codes times scale, and what of it stays in floating point beside: both have all columns,
  /// and one of each pair is 0.
  ///
  /// Codes are rounded to nearest, ties to even. `llmInt8`: the scale is the largest magnitude below
  /// the threshold over 127. `dynamicInt8`: (max − min of values and zero, symmetric) / 127.5·2 as
  /// compressed-tensors has it. `dynamicFP8`: the largest magnitude over 448.
  func treated(_ input: [Float]) -> (codes: [Float], kept: [Float]) {
    let none = [Float](repeating: 0, count: input.count)
    switch self {
    case .float: return (input, none)
    case .int8(let group): return (Self.grouped(input, group ?? input.count), none)
    case .llmInt8(let threshold):
      let isOutlier = { (value: Float) in threshold > 0 && value.magnitude >= threshold }
      let inside = input.map { isOutlier($0) ? 0 : $0 }
      return (Self.grouped(inside, input.count), input.map { isOutlier($0) ? $0 : 0 })
    case .dynamicInt8: return (Self.wide(input), none)
    case .dynamicFP8: return (Self.small(input), none)
    }
  }

  /// Codes of −127...127 times their scale, one for each run of `group`.
  private static func grouped(_ input: [Float], _ group: Int) -> [Float] {
    stride(from: 0, to: input.count, by: max(group, 1)).flatMap { start -> [Float] in
      let run = input[start..<min(start + group, input.count)]
      let scale = run.reduce(0) { max($0, $1.magnitude) } / 127
      guard scale > 0 else { return Array(run) }
      return run.map { ($0 / scale).rounded(.toNearestOrEven) * scale }
    }
  }

  /// Codes of −128...127, the scale the largest magnitude over 127.5.
  private static func wide(_ input: [Float]) -> [Float] {
    let scale = input.reduce(0) { max($0, $1.magnitude) } / 127.5
    guard scale > 0 else { return input }
    return input.map { min(max(($0 / scale).rounded(.toNearestOrEven), -128), 127) * scale }
  }

  /// E4M3 numbers times their scale.
  private static func small(_ input: [Float]) -> [Float] {
    let scale = input.reduce(0) { max($0, $1.magnitude) } / 448
    guard scale > 0 else { return input }
    return input.map { value in
      let x = min(max(value / scale, -448), 448)
      let step =
        x.magnitude < 0x1p-6 ? 0x1p-9 : Float(sign: .plus, exponent: x.exponent - 3, significand: 1)
      return (x / step).rounded(.toNearestOrEven) * step * scale
    }
  }
}
