extension ReferenceCompute {
  public func normalize(
    _ input: Buffer, rows: Int, width: Int, _ norm: Norm, into output: Buffer
  ) {
    let input = numbers(input).values
    let output = numbers(output)
    let weight = norm.weight.map { numbers($0).values }
    let bias = norm.bias.map { numbers($0).values }
    for row in 0..<rows {
      let values = input[row * width..<(row + 1) * width].map(Double.init)
      let mean = norm.kind == .rms ? 0 : values.reduce(0, +) / Double(width)
      let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      let deviation = (squares / Double(width) + Double(norm.epsilon)).squareRoot()
      for (column, value) in values.enumerated() {
        output.values[row * width + column] = Float(
          (value - mean) / deviation * Double(weight?[column] ?? 1) + Double(bias?[column] ?? 0))
      }
    }
  }

  public func rotate(
    _ values: Buffer, tokens: Int, heads: Int, headSize: Int, cosines: Buffer, sines: Buffer,
    pairs: Int, positions: [Int32]
  ) {
    let values = numbers(values)
    let cosines = numbers(cosines).values
    let sines = numbers(sines).values
    for token in 0..<tokens {
      for head in 0..<heads {
        for pair in 0..<pairs {
          let angle = Int(positions[token]) * pairs + pair
          let first = (token * heads + head) * headSize + pair
          let (x, y) = (Double(values.values[first]), Double(values.values[first + pairs]))
          let (cosine, sine) = (Double(cosines[angle]), Double(sines[angle]))
          values.values[first] = Float(x * cosine - y * sine)
          values.values[first + pairs] = Float(y * cosine + x * sine)
        }
      }
    }
  }

  public func store(
    _ values: Buffer, sequences: Int, tokens: Int, width: Int, into cache: Buffer, capacity: Int,
    at start: Int
  ) {
    let values = numbers(values).values
    let cache = numbers(cache)
    precondition(start + tokens <= capacity)
    for sequence in 0..<sequences {
      let from = sequence * tokens * width
      let to = (sequence * capacity + start) * width
      cache.values.replaceSubrange(
        to..<to + tokens * width, with: values[from..<from + tokens * width])
    }
  }

  public func split(_ input: Buffer, rows: Int, widths: [Int], into outputs: [Buffer]) {
    let input = numbers(input).values
    let width = widths.reduce(0, +)
    var start = 0
    for (part, output) in zip(widths, outputs) {
      for row in 0..<rows {
        let from = row * width + start
        numbers(output).values.replaceSubrange(
          row * part..<(row + 1) * part, with: input[from..<from + part])
      }
      start += part
    }
  }

  public func gather(_ source: Buffer, rows: [Int32], width: Int, into output: Buffer) {
    let source = numbers(source).values
    for (position, row) in rows.enumerated() {
      numbers(output).values.replaceSubrange(
        position * width..<(position + 1) * width,
        with: source[Int(row) * width..<(Int(row) + 1) * width])
    }
  }

  public func scatter(
    _ source: Buffer, factors: [Float], rows: [Int32], width: Int, addingTo target: Buffer
  ) {
    let source = numbers(source).values
    let target = numbers(target)
    for (position, row) in rows.enumerated() {
      for column in 0..<width {
        let product = Double(source[position * width + column]) * Double(factors[position])
        let index = Int(row) * width + column
        target.values[index] = Float(Double(target.values[index]) + product)
      }
    }
  }
}
