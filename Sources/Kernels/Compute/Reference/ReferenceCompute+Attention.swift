extension ReferenceCompute {
  /// Softmax with the largest score taken off; weights are divided by their sum before they meet
  /// values.
  public func attend(
    _ queries: Buffer, keys: Buffer, values: Buffer, _ shape: AttentionShape, into output: Buffer
  ) {
    let queries = numbers(queries).values
    let keys = numbers(keys).values
    let values = numbers(values).values
    let size = shape.headSize
    var results = [Float](
      repeating: 0, count: shape.sequences * shape.tokens * shape.heads * size)
    for sequence in 0..<shape.sequences {
      for token in 0..<shape.tokens {
        for head in 0..<shape.heads {
          let kvHead = head / (shape.heads / shape.kvHeads)
          let query = ((sequence * shape.tokens + token) * shape.heads + head) * size
          let place = { (position: Int) in
            ((sequence * shape.capacity + position) * shape.kvHeads + kvHead) * size
          }
          let seen = shape.positions(seenBy: token)
          let scores = seen.map { position in
            score(
              (0..<size).reduce(0) { sum, index in
                sum + Double(queries[query + index]) * Double(keys[place(position) + index])
              }, shape)
          }
          let weights = softmax(scores)
          for index in 0..<size {
            results[query + index] = Float(
              zip(seen, weights).reduce(0) { sum, pair in
                sum + pair.1 * Double(values[place(pair.0) + index])
              })
          }
        }
      }
    }
    numbers(output).values.replaceSubrange(..<results.count, with: results)
  }

  private func score(_ product: Double, _ shape: AttentionShape) -> Double {
    let scaled = product * Double(shape.scale)
    guard let cap = shape.softcap.map(Double.init) else { return scaled }
    return cap * hyperbolicTangent(scaled / cap)
  }

  private func softmax(_ scores: [Double]) -> [Double] {
    let largest = scores.max() ?? 0
    let powers = scores.map { exponential($0 - largest) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
  }
}

extension AttentionShape {
  /// The positions that new token `token` of a sequence sees.
  public func positions(seenBy token: Int) -> Range<Int> {
    let end = start + token + 1
    return max(0, window.map { end - $0 } ?? 0)..<end
  }
}
