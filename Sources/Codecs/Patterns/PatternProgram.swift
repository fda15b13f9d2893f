/// A pattern written out as steps.
///
/// A loop whose body can match nothing leaves after an iteration that took nothing, or it would
/// never end. So a state of the matcher has a level: how many of the loops of that kind around a
/// step, from the outermost, have taken a scalar in their present iteration. Within one position
/// no state can then come twice on one way.
struct PatternProgram: Sendable {
  enum Step: Sendable {
    case one(ScalarTest, next: Int)
    /// The first way, else the second.
    case split(Int, Int)
    case holds(PatternAnchor, next: Int)
    case look(PatternLook, body: Int, next: Int)
    case atomic(body: Int, next: Int)
    /// The end of an iteration of a loop whose body can match nothing.
    case again(head: Int, exit: Int)
    /// The end of the body of `look` or `atomic`.
    case accept
    /// The end of the pattern.
    case finish
  }

  private(set) var steps: [Step] = []
  /// How many loops whose bodies can match nothing are around each step, up to the nearest
  /// `look` or `atomic`.
  private(set) var depths: [Int] = []
  /// For each step where ways meet the first of its slots, of which it has one for each level;
  /// nil for the others, which are come to only from one step.
  private(set) var slots: [Int?] = []
  private(set) var slotCount = 0
  private(set) var start = 0

  /// O(`tree.steps`).
  init(_ tree: PatternTree) {
    start = compile(tree, then: emit(.finish, 0), 0)
    assignSlots()
  }

  private mutating func emit(_ step: Step, _ depth: Int) -> Int {
    steps.append(step)
    depths.append(depth)
    return steps.count - 1
  }

  /// Writes `tree` out before the step `next`, and gives its first step.
  private mutating func compile(_ tree: PatternTree, then next: Int, _ depth: Int) -> Int {
    switch tree.form {
    case .one(let test): return emit(.one(test, next: next), depth)
    case .holds(let anchor): return emit(.holds(anchor, next: next), depth)
    case .sequence(let parts):
      return parts.reversed().reduce(next) { compile($1, then: $0, depth) }
    case .either(let choices):
      let ways = choices.map { compile($0, then: next, depth) }
      return ways.dropLast().reversed().reduce(ways[ways.count - 1]) {
        emit(.split($1, $0), depth)
      }
    case .repeated(let body, let count): return repeated(body, count, then: next, depth)
    case .atomic(let body):
      return emit(.atomic(body: compile(body, then: emit(.accept, 0), 0), next: next), depth)
    case .look(let body, let look):
      let first = compile(body, then: emit(.accept, 0), 0)
      return emit(.look(look, body: first, next: next), depth)
    }
  }

  private mutating func repeated(
    _ body: PatternTree, _ count: PatternCount, then next: Int, _ depth: Int
  ) -> Int {
    var first = next
    if let max = count.max {
      for _ in count.min..<max {
        let more = compile(body, then: first, depth)
        first = emit(count.isLazy ? .split(next, more) : .split(more, next), depth)
      }
    } else {
      first = loop(body, isLazy: count.isLazy, then: next, depth)
    }
    for _ in 0..<count.min { first = compile(body, then: first, depth) }
    return first
  }

  private mutating func loop(
    _ body: PatternTree, isLazy: Bool, then next: Int, _ depth: Int
  ) -> Int {
    // Its ways are known only once the body is written out.
    let head = emit(.split(next, next), depth)
    let more: Int
    if body.minWidth == 0 {
      more = compile(body, then: emit(.again(head: head, exit: next), depth + 1), depth + 1)
    } else {
      more = compile(body, then: head, depth)
    }
    steps[head] = isLazy ? .split(next, more) : .split(more, next)
    return head
  }

  private mutating func assignSlots() {
    var ways = [Int](repeating: 0, count: steps.count)
    for step in steps {
      switch step {
      case .one(_, let next), .holds(_, let next): ways[next] += 1
      case .split(let a, let b), .again(let a, let b), .look(_, let a, let b):
        ways[a] += 1
        ways[b] += 1
      case .atomic(let body, let next):
        ways[body] += 1
        // Bodies that begin at several positions may end at one.
        ways[next] += 2
      case .accept, .finish: break
      }
    }
    for (step, count) in ways.enumerated() {
      slots.append(count > 1 ? slotCount : nil)
      if count > 1 { slotCount += depths[step] + 1 }
    }
  }
}
