/// Which tokens go to which expert, and with what share.
struct Routes {
  struct Token {
    let row: Int32
    let share: Float
  }

  /// Of each expert, rows ascending.
  private(set) var tokens: [[Token]]

  /// Softmax over the router's logits `[rows][experts]` in f32, the `chosen` largest of each row, of equal ones
  /// the first; their shares divided by their sum where they are normalized.
  init(_ logits: [Float], experts: Int, chosen: Int, normalizesShares: Bool) {
    tokens = [[Token]](repeating: [], count: experts)
    for row in 0..<logits.count / experts {
      let shares = Self.softmax(logits[row * experts..<(row + 1) * experts])
      let best = shares.indices.sorted {
        shares[$0] == shares[$1] ? $0 < $1 : shares[$0] > shares[$1]
      }.prefix(chosen)
      let sum = best.reduce(Float(0)) { $0 + shares[$1] }
      for expert in best {
        let share = normalizesShares ? shares[expert] / sum : shares[expert]
        tokens[expert].append(Token(row: Int32(row), share: share))
      }
    }
  }

  private static func softmax(_ logits: ArraySlice<Float>) -> [Float] {
    let largest = logits.max() ?? 0
    let powers = logits.map { exponential(Double($0 - largest)) }
    let sum = powers.reduce(0, +)
    return powers.map { Float($0 / sum) }
  }
}
