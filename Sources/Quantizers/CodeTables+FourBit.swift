extension CodeTables {
  /// The fraction of a normal distribution at which NormalFloat ends: chosen so that errors are
  /// small. Source: QLoRA, arXiv 2305.14314.
  public static let normalOffset: Float = 0.9677083

  /// NormalFloat: quantiles of the normal distribution on either side of 0, divided by the largest;
  /// one more of them above 0, or as many. 15 or 14 numbers and zeros.
  public static func normal(offset: Float = normalOffset, extraValue: Bool = true) -> [Float] {
    let above = evenly(from: offset, to: 0.5, extraValue ? 9 : 8).dropLast()
    let below = evenly(from: offset, to: 0.5, 8).dropLast()
    let values =
      above.map { Float(NormalDistribution.quantile(Double($0))) }
      + below.map { -Float(NormalDistribution.quantile(Double($0))) }
    return normalised(filled(values))
  }

  /// NF4, by code: the 15 numbers of `normal` and one 0.
  public static let nf4: [Float] = {
    let table = normal()
    return table.filter { $0 < 0 } + [0] + table.filter { $0 > 0 }
  }()

  /// FP4, by code: sign, then two bits of exponent and one of mantissa, the exponent running the
  /// other way. Both zeros are +0.
  public static let fp4: [Float] = {
    let magnitudes: [Float] = [0, 0.0625, 8, 12, 4, 6, 2, 3].map { $0 / 12 }
    return magnitudes + magnitudes.map { 0 - $0 }
  }()
}
