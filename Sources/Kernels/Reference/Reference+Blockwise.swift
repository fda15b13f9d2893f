extension Reference {
  /// The largest magnitude of each block but that of NaN, and the number of blocks with an infinity
  /// or NaN.
  public static func blockAbsmax(
    _ values: [Float], block: Int
  ) -> (absmax: [Float], wrong: Int) {
    let blocks = stride(from: 0, to: values.count, by: block).map {
      values[$0..<min($0 + block, values.count)]
    }
    return (
      blocks.map { $0.lazy.filter { !$0.isNaN }.map(\.magnitude).max() ?? 0 },
      blocks.count { !$0.allSatisfy(\.isFinite) }
    )
  }

  /// Each value times 1 divided by the absmax of its block, or by the floor if that is larger.
  public static func scaled(
    _ values: [Float], absmax: [Float], block: Int, floor: Float = 0
  ) -> [Float] {
    values.enumerated().map { index, value in
      value * (1 / max(absmax[index / block], floor))
    }
  }

  /// Codes of four bits, two in a byte, the first in its high half.
  public static func blockNibbles(
    _ values: [Float], absmax: [Float], block: Int, by rule: NibbleRule
  ) -> [UInt8] {
    let even = values.count % 2 == 0 ? values : values + [0]
    // The value behind an odd end belongs to the last block.
    let codes = even.enumerated().map { index, value in
      let most = max(absmax[min(index, values.count - 1) / block], rule.floor)
      return rule.code(of: value * (1 / most))
    }
    return stride(from: 0, to: codes.count, by: 2).map { codes[$0] << 4 | codes[$0 + 1] }
  }

  /// How many thresholds lie below each scaled value.
  public static func blockBytes(
    _ values: [Float], absmax: [Float], block: Int, thresholds: [Float]
  ) -> [UInt8] {
    scaled(values, absmax: absmax, block: block).map { x in
      UInt8(thresholds.count { x > $0 })
    }
  }

  /// A table's entry at each scaled value, held to -1...1 and spread over 0...65535.
  public static func blockLookup(
    _ values: [Float], absmax: [Float], block: Int, table: [UInt8]
  ) -> [UInt8] {
    scaled(values, absmax: absmax, block: block).map { x in
      guard !x.isNaN else { return 0 }
      let held = min(max(x, -1), 1)
      return table[Int((held + 1) * 0.5 * 65535 + 0.5)]
    }
  }

  /// Float16 patterns times a factor as signed bytes.
  public static func signedBytes(_ halves: [UInt16], factor: Float) -> [Int8] {
    halves.map { pattern in
      let x = FloatFormat.f16.value(UInt32(pattern)) * factor
      return x.isNaN ? 0 : Int8(min(max(x, -127), 127).rounded(.toNearestOrEven))
    }
  }
}
