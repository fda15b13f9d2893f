/// The steps of a pattern as plain numbers, so that running them counts no references.
struct SplitProgram: Sendable {
  private enum Kind: Sendable { case run, choice, look }

  private struct Step: Sendable {
    var kind: Kind
    /// The set of a run or look.
    var set = 0
    var least = 0
    var most = 0
    /// Possessive, optional or negated.
    var isMarked = false
    /// The rows of a choice.
    var rows = 0..<0
  }

  private var steps: [Step] = []
  /// The steps of each alternative.
  private var alternatives: [Range<Int>] = []
  /// The sets of each row of a choice.
  private var rows: [Range<Int>] = []
  private var sets: [ScalarSet] = []
  /// For each set, 128 flags: which scalars of ASCII belong to it.
  private var ascii: [Bool] = []
  /// For each set, which categories of other scalars belong to it; the highest bit of `others`, which is no
  /// category, says that the set itself must be asked.
  private var categories: [(blanks: UInt32, others: UInt32)] = []
  /// For each scalar of ASCII, the alternatives that may begin with it, as bits.
  private var starts: [UInt64] = []

  /// More alternatives than these are not told apart by what they begin with.
  private static let markedAlternatives = 64

  init(_ tree: [[SplitPattern.Step]]) {
    for row in tree {
      let first = steps.count
      for step in row { add(step) }
      alternatives.append(first..<steps.count)
    }
    starts = (0..<128).map { scalar in
      alternatives.prefix(Self.markedAlternatives).enumerated().reduce(0) { bits, alternative in
        mayBegin(alternative.element, with: scalar) ? bits | 1 << UInt64(alternative.offset) : bits
      }
    }
  }

  private mutating func add(_ step: SplitPattern.Step) {
    switch step {
    case .run(let set, let least, let most, let isPossessive):
      let index = add(set)
      steps.append(
        Step(kind: .run, set: index, least: least, most: most, isMarked: isPossessive))
    case .look(let set, let isNegated):
      steps.append(Step(kind: .look, set: add(set), isMarked: isNegated))
    case .choice(let choices, let isOptional):
      let first = rows.count
      for choice in choices {
        let start = sets.count
        for set in choice { _ = add(set) }
        rows.append(start..<sets.count)
      }
      steps.append(Step(kind: .choice, isMarked: isOptional, rows: first..<rows.count))
    }
  }

  private mutating func add(_ set: ScalarSet) -> Int {
    sets.append(set)
    for scalar in 0..<UInt32(128) { ascii.append(set.contains(scalar)) }
    categories.append(set.categories ?? (0, Self.asksSet))
    return sets.count - 1
  }

  /// Whether an alternative can match a text that begins with a scalar of ASCII.
  private func mayBegin(_ alternative: Range<Int>, with scalar: Int) -> Bool {
    for step in steps[alternative] {
      switch step.kind {
      case .look: continue
      case .run:
        if ascii[step.set << 7 | scalar] { return true }
        if step.least > 0 { return false }
      case .choice:
        if step.rows.contains(where: { ascii[rows[$0].lowerBound << 7 | scalar] }) { return true }
        if !step.isMarked { return false }
      }
    }
    return true
  }

  @inline(__always)
  private func holds(_ set: Int, _ scalar: UInt32) -> Bool {
    scalar < 128 ? ascii[set << 7 | Int(scalar)] : holdsHigh(set, scalar)
  }

  private static let asksSet: UInt32 = 1 << 31

  private func holdsHigh(_ set: Int, _ scalar: UInt32) -> Bool {
    let (blanks, others) = categories[set]
    if others & Self.asksSet != 0 { return sets[set].contains(scalar) }
    let found = ScalarClass(of: scalar)
    return (found.contains(.whitespace) ? blanks : others) & found.rawValue != 0
  }

  /// Where the match that begins at `start` ends; nil where there is none, or where `budget`, from
  /// which every step is taken, is used up.
  func end(
    in text: [UInt8], from start: Int, to limit: Int, _ budget: inout Int
  ) -> Int? {
    let first = Int(text[start])
    let marks = first < 128 ? starts[first] : .max
    for (number, alternative) in alternatives.enumerated() {
      if number < Self.markedAlternatives, marks >> UInt64(number) & 1 == 0 { continue }
      let end = end(alternative, in: text, from: start, to: limit, &budget)
      if let end { return end }
      if budget <= 0 { return nil }
    }
    return nil
  }

  /// Where a match of some steps ends. Recurses once for each step of the pattern.
  private func end(
    _ row: Range<Int>, in text: [UInt8], from start: Int, to limit: Int, _ budget: inout Int
  ) -> Int? {
    guard !row.isEmpty else { return start }
    budget -= 1
    let step = steps[row.lowerBound]
    let rest = row.lowerBound + 1..<row.upperBound
    switch step.kind {
    case .look:
      let isThere = start < limit && holds(step.set, UTF8Text.scalar(text, start).value)
      guard isThere != step.isMarked else { return nil }
      return end(rest, in: text, from: start, to: limit, &budget)
    case .choice:
      for choice in step.rows {
        guard budget > 0,
          let next = endOfRow(rows[choice], in: text, from: start, to: limit, &budget)
        else { continue }
        let end = end(rest, in: text, from: next, to: limit, &budget)
        if let end { return end }
      }
      return step.isMarked ? end(rest, in: text, from: start, to: limit, &budget) : nil
    case .run: return endOfRun(step, rest, in: text, from: start, to: limit, &budget)
    }
  }

  private func endOfRun(
    _ step: Step, _ rest: Range<Int>, in text: [UInt8], from start: Int, to limit: Int,
    _ budget: inout Int
  ) -> Int? {
    var count = 0
    var position = start
    while count < step.most, position < limit {
      let scalar = UTF8Text.scalar(text, position)
      guard holds(step.set, scalar.value) else { break }
      position += scalar.length
      count += 1
    }
    budget -= count
    while count >= step.least, budget > 0 {
      let end = end(rest, in: text, from: position, to: limit, &budget)
      if end != nil || step.isMarked || count == step.least { return end }
      position = UTF8Text.start(before: position, in: text)
      count -= 1
    }
    return nil
  }

  private func endOfRow(
    _ row: Range<Int>, in text: [UInt8], from start: Int, to limit: Int, _ budget: inout Int
  ) -> Int? {
    var position = start
    for set in row {
      budget -= 1
      guard position < limit else { return nil }
      let scalar = UTF8Text.scalar(text, position)
      guard holds(set, scalar.value) else { return nil }
      position += scalar.length
    }
    return position
  }
}
