#if canImport(Glibc)
  import Glibc
#endif

extension ReferenceCompute {
  public func attend(
    _ queries: Buffer, keys: Buffer, values: Buffer, _ shape: AttentionShape, into output: Buffer
  ) {
    for sequence in 0..<shape.sequences {
      for token in 0..<shape.tokens {
        for head in 0..<shape.heads {
          attend(
            Self.open(queries), Self.open(keys), Self.open(values), shape, Self.open(output),
            (sequence, token, head))
        }
      }
    }
  }

  private func attend(
    _ queries: ReferenceBuffer, _ keys: ReferenceBuffer, _ values: ReferenceBuffer,
    _ shape: AttentionShape, _ output: ReferenceBuffer,
    _ place: (sequence: Int, token: Int, head: Int)
  ) {
    let size = shape.headSize
    let start = ((place.sequence * shape.tokens + place.token) * shape.heads + place.head) * size
    let kvHead = place.head / (shape.heads / shape.kvHeads)
    let last = shape.start + place.token
    let first = shape.window.map { max(0, last - $0 + 1) } ?? 0
    let row = { (position: Int) in
      ((place.sequence * shape.capacity + position) * shape.kvHeads + kvHead) * size
    }
    let scores = (first...last).map { position in
      let sum = (0..<size).reduce(0.0) {
        $0 + Double(queries.values[start + $1]) * Double(keys.values[row(position) + $1])
      }
      let score = sum * Double(shape.scale)
      return shape.softcap.map { Double($0) * tanh(score / Double($0)) } ?? score
    }
    let most = scores.max() ?? 0
    let shares = scores.map { exp($0 - most) }
    let total = shares.reduce(0, +)
    for index in 0..<size {
      let sum = zip(first...last, shares).reduce(0.0) {
        $0 + $1.1 * Double(values.values[row($1.0) + index])
      }
      output.values[start + index] = Float(sum / total)
    }
  }
}
