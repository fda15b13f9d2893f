internal import CKernels

extension CPUCompute {
  public func normalize(
    _ input: Buffer, rows: Int, width: Int, _ norm: Norm, into output: Buffer
  ) {
    guard rows > 0, width > 0 else { return }
    let input = Self.numbers(input)
    let output = Self.numbers(output)
    let weight = norm.weight.map { Self.numbers($0).slice(0, width) }
    let bias = norm.bias.map { Self.numbers($0).slice(0, width) }
    let (isCentred, epsilon): (Int32, Float) = (norm.kind == .layer ? 1 : 0, norm.epsilon)
    inRows(rows, width: width) { row in
      // SAFETY: all slices have `width` numbers.
      unsafe level.kernels.pointee.normalize_row(
        isCentred, input.slice(row * width, width).address, width, epsilon, weight?.address,
        bias?.address, output.slice(row * width, width).address)
    }
  }

  public func rotate(
    _ values: Buffer, tokens: Int, heads: Int, headSize: Int, cosines: Buffer, sines: Buffer,
    pairs: Int, positions: [Int32]
  ) {
    precondition(2 * pairs <= headSize && positions.count == tokens)
    guard tokens > 0, heads > 0, pairs > 0 else { return }
    let values = Self.numbers(values)
    let cosines = Self.numbers(cosines)
    let sines = Self.numbers(sines)
    let width = heads * headSize
    inRows(tokens, width: width) { token in
      let angles = Int(positions[token]) * pairs
      // SAFETY: the slices hold the heads of a token and the angles of its position.
      unsafe level.kernels.pointee.rotate_heads(
        values.slice(token * width, width).address, heads, headSize,
        cosines.slice(angles, pairs).address, sines.slice(angles, pairs).address, pairs)
    }
  }

  public func store(
    _ values: Buffer, sequences: Int, tokens: Int, width: Int, into cache: Buffer, capacity: Int,
    at start: Int
  ) {
    precondition(start >= 0 && start + tokens <= capacity)
    let values = Self.numbers(values)
    let cache = Self.numbers(cache)
    let count = tokens * width
    for sequence in 0..<sequences {
      cache.slice((sequence * capacity + start) * width, count)
        .copy(from: values.slice(sequence * count, count))
    }
  }

  public func split(_ input: Buffer, rows: Int, widths: [Int], into outputs: [Buffer]) {
    precondition(widths.count == outputs.count)
    let input = Self.numbers(input)
    let targets = outputs.map(Self.numbers)
    let width = widths.reduce(0, +)
    inRows(rows, width: width) { row in
      var start = row * width
      for (part, target) in zip(widths, targets) {
        target.slice(row * part, part).copy(from: input.slice(start, part))
        start += part
      }
    }
  }

  public func gather(_ source: Buffer, rows: [Int32], width: Int, into output: Buffer) {
    let source = Self.numbers(source)
    let output = Self.numbers(output)
    inRows(rows.count, width: width) { position in
      output.slice(position * width, width)
        .copy(from: source.slice(Int(rows[position]) * width, width))
    }
  }
}
