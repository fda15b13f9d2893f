extension Reference {
  /// s·(q−z), a scale and a zero for each column.
  public static func affineRows(_ codes: [UInt8], scales: [Float], zeros: [Float]) -> [Float] {
    codes.enumerated().map { index, code in
      scales[index % scales.count] * (Float(code) - zeros[index % zeros.count])
    }
  }

  /// s·(q−z), a scale and a zero for each `group` codes.
  public static func affineRun(
    _ codes: [UInt8], group: Int, scales: [Float], zeros: [Float]
  ) -> [Float] {
    codes.enumerated().map { index, code in
      scales[index / group] * (Float(code) - zeros[index / group])
    }
  }

  /// s·q, rounded, then + m, rounded.
  public static func addedRun(
    _ codes: [UInt8], group: Int, scales: [Float], added: [Float]
  ) -> [Float] {
    codes.enumerated().map { index, code in
      let product = scales[index / group] * Float(code)
      return product + added[index / group]
    }
  }

  /// q·s of signed codes, rounded, then times the factor, rounded.
  public static func signedRun(
    _ codes: [UInt8], group: Int, scales: [Float], factor: Float
  ) -> [Float] {
    codes.enumerated().map { index, code in
      let product = Float(Int8(bitPattern: code)) * scales[index / group]
      return product * factor
    }
  }

  /// table[q]·s, codes counted modulo the size of the table.
  public static func tableRun(
    _ codes: [UInt8], table: [Float], group: Int, scales: [Float]
  ) -> [Float] {
    codes.enumerated().map { index, code in
      table[Int(code) % table.count] * scales[index / group]
    }
  }

  /// The value of each code in the table of its run; tables are [runs][16], codes counted modulo 16.
  public static func lookup(_ codes: [UInt8], tables: [UInt16], group: Int) -> [UInt16] {
    codes.enumerated().map { index, code in tables[index / group * 16 + Int(code) % 16] }
  }

  /// The statistics of values, in the order of summation that `FloatStatistics` states.
  public static func statistics(_ values: [Float]) -> FloatStatistics {
    var result = FloatStatistics()
    result.count = values.count
    result.nanCount = values.count(where: \.isNaN)
    result.infiniteCount = values.count(where: \.isInfinite)
    result.zeroCount = values.count(where: \.isZero)
    let numbers = values.filter { !$0.isNaN }.map { $0.isZero ? 0 : $0 }
    result.minimum = numbers.reduce(.infinity) { min($0, $1) }
    result.maximum = numbers.reduce(-.infinity) { max($0, $1) }
    let finite = values.map { $0.isFinite ? Double($0) : 0 }
    result.sum = sumInLanes(finite)
    result.sumOfSquares = sumInLanes(finite.map { $0 * $0 })
    return result
  }

  private static func sumInLanes(_ terms: [Double]) -> Double {
    var lane = [Double](repeating: 0, count: 8)
    for (index, term) in terms.enumerated() { lane[index % 8] += term }
    let even = (lane[0] + lane[4]) + (lane[2] + lane[6])
    let odd = (lane[1] + lane[5]) + (lane[3] + lane[7])
    return even + odd
  }
}
