internal import Kernels
internal import TensorCore

/// Values to codes, as the optimizers' last step does it.
public struct StateQuantizer: Sendable {
  private let map: [Float]
  private let keepsSign: Bool
  private let rules: PeerRules

  /// `keepsSign`: the CUDA kernels move a code of the first state that has lost its value's sign
  /// by one, so that a momentum never turns round. The CPU code does not.
  public init(map: [Float], keepsSign: Bool, rules: PeerRules) {
    precondition(map.count == 256)
    (self.map, self.keepsSign, self.rules) = (map, keepsSign, rules)
  }

  /// The largest magnitude, NaN left out. O(values).
  public func scale(_ values: some Sequence<Float>) -> Float {
    values.reduce(0) { $1.magnitude > $0 ? $1.magnitude : $0 }
  }

  /// The code of one value. O(1).
  public func code(_ value: Float, _ absmax: Float) -> UInt8 {
    switch rules {
    case .cuda: signKept(search(value / absmax), of: value)
    case .cpu: stepped(value * (1 / absmax))
    }
  }

  /// The codes of values in blocks, each with its scale: `code` for each of them, by the kernels where
  /// the map is one of `DynamicMap`. O(values).
  ///
  /// Traps where there is not a scale for each block.
  public func codes(_ values: [Float], absmax: [Float], block: Int) -> [UInt8] {
    precondition(absmax.count == values.count.dividedRoundingUp(by: block))
    guard let search = DynamicMap.search(of: map) else {
      return values.enumerated().map { code($1, absmax[$0 / block]) }
    }
    var filled = AlignedBytes(count: values.count)
    filled.withMutableBytes(count: values.count) { codes in
      switch rules {
      case .cpu:
        Blockwise.lookup(
          values.rawSpan, absmax: absmax.rawSpan, block: block, table: search.steps, into: &codes)
      case .cuda:
        // The kernel multiplies; by 1 it leaves the quotients as they are.
        let shares = values.indices.map { values[$0] / absmax[$0 / block] }
        let ones = [Float](repeating: 1, count: absmax.count)
        Blockwise.bytes(
          shares.rawSpan, absmax: ones.rawSpan, block: block, thresholds: search.thresholds,
          into: &codes)
      }
    }
    let codes = filled.bytes.array
    guard rules == .cuda, keepsSign else { return codes }
    return zip(codes, values).map { signKept($0, of: $1) }
  }

  /// The scale of each block of values. O(values).
  public func scales(_ values: [Float], block: Int) -> [Float] {
    let blocks = values.count.dividedRoundingUp(by: block)
    var scales = AlignedBytes(count: blocks * 4)
    scales.withMutableBytes(count: blocks * 4) {
      _ = Blockwise.absmax(values.rawSpan, block: block, into: &$0)
    }
    let bytes = scales.bytes
    return (0..<blocks).map { bytes.float32(at: $0) }
  }

  /// Halves the table seven times, then compares with one midpoint: above it the neighbour, on it
  /// the code reached. NaN, which a block of zeros gives, ends at code 0.
  private func search(_ x: Float) -> UInt8 {
    var pivot = 127
    var upper = 255
    var lower = 0
    var step = 64
    while step > 0 {
      if x > map[pivot] {
        lower = pivot
        pivot += step
      } else {
        upper = pivot
        pivot -= step
      }
      step /= 2
    }
    let value = map[pivot]
    if x > value { return UInt8(x > (bound(upper, 255, 1) + value) * 0.5 ? upper : pivot) }
    return UInt8(x < (bound(lower, 0, map[0] < 0 ? -1 : 0) + value) * 0.5 ? lower : pivot)
  }

  /// The kernels start from ±1 or 0 as bounds, not from the ends of the table.
  private func bound(_ index: Int, _ end: Int, _ value: Float) -> Float {
    index == end ? value : map[index]
  }

  private func signKept(_ code: UInt8, of value: Float) -> UInt8 {
    guard keepsSign, (map[Int(code)].sign == .minus) != (value.sign == .minus) else { return code }
    return value > 0 ? code &+ 1 : code &- 1
  }

  /// The CPU code looks a step of 65536 from −1 to 1 up in a table, which holds for each the first
  /// code whose upper midpoint does not lie below it: so 0, which falls between two steps, is not
  /// code 127 of the signed map but 131.
  private func stepped(_ x: Float) -> UInt8 {
    guard !x.isNaN else { return 0 }
    let held = max(-1, min(1, x))
    let step = ((held + 1) * 0.5 * 65535 + 0.5).rounded(.down)
    let place = step / 65535 * 2 - 1
    var code = 0
    var half = 128
    while half > 0 {
      let last = code + half - 1
      if (map[last] + map[last + 1]) * 0.5 < place { code += half }
      half /= 2
    }
    return UInt8(code)
  }
}
