extension ReferenceCompute {
  public func split(_ input: Buffer, rows: Int, widths: [Int], into outputs: [Buffer]) {
    let source = Self.open(input)
    let width = widths.reduce(0, +)
    var from = 0
    for (part, output) in zip(widths, outputs) {
      let target = Self.open(output)
      for row in 0..<rows {
        for index in 0..<part {
          target.values[row * part + index] = source.values[row * width + from + index]
        }
      }
      from += part
    }
  }

  public func add(_ source: Buffer, count: Int, to target: Buffer) {
    let (source, target) = (Self.open(source), Self.open(target))
    for index in 0..<count { target.values[index] += source.values[index] }
  }

  public func scale(_ target: Buffer, count: Int, by factor: Float) {
    let target = Self.open(target)
    for index in 0..<count { target.values[index] *= factor }
  }

  public func gather(_ source: Buffer, rows: [Int32], width: Int, into output: Buffer) {
    let (source, target) = (Self.open(source), Self.open(output))
    for (position, row) in rows.enumerated() {
      for index in 0..<width {
        target.values[position * width + index] = source.values[Int(row) * width + index]
      }
    }
  }

  public func scatter(
    _ source: Buffer, factors: [Float], rows: [Int32], width: Int, addingTo target: Buffer
  ) {
    let (source, target) = (Self.open(source), Self.open(target))
    for (position, row) in rows.enumerated() {
      for index in 0..<width {
        target.values[Int(row) * width + index] +=
          source.values[position * width + index] * factors[position]
      }
    }
  }
}
