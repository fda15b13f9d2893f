/// Runs a program over one name: backtracking that never tries the same state twice.
///
/// From each state, a step at a position, it is asked where the match of the part around ends.
/// That depends on nothing else, so the answers of states come to in several ways are kept.
/// What waits for an answer is kept in an array, not on the stack of the thread.
struct PatternMatcher {
  private struct State {
    var step: Int
    var position: Int
    /// See `PatternProgram`.
    var level: Int
  }

  /// What is done with an answer when it comes.
  private enum Waiting {
    /// It is written down in a slot.
    case remember(Int)
    /// The step goes on: its second way, or what follows its body.
    case goOn(State)
  }

  private enum Move {
    case visit(State)
    /// Where the match ends; nil where there is none.
    case answer(Int?)
  }

  private static let unknown: Int32 = -2
  private static let none: Int32 = -1

  private let program: PatternProgram
  private let name: [Unicode.Scalar]
  private let whole: Bool
  private var waiting: [Waiting] = []
  /// [slots][positions]: where the match ends, `none` or `unknown`. Empty until first used.
  private var answers: [Int32] = []

  /// `whole` asks for a match that ends where the name does. The name is short enough for its
  /// positions to fit `Int32`.
  init(_ program: PatternProgram, _ name: [Unicode.Scalar], whole: Bool) {
    self.program = program
    self.name = name
    self.whole = whole
  }

  /// Whether the program matches from the start of the name. O(slots · name) in memory.
  mutating func matches() -> Bool {
    var move = Move.visit(State(step: program.start, position: 0, level: 0))
    while true {
      switch move {
      case .visit(let state): move = visit(state)
      case .answer(let end):
        guard let last = waiting.popLast() else { return end != nil }
        switch last {
        case .goOn(let state): move = goOn(state, with: end)
        case .remember(let slot): answers[slot] = end.map(Int32.init) ?? Self.none
        }
      }
    }
  }

  /// The known answer of a state, or its first move.
  private mutating func visit(_ state: State) -> Move {
    guard let first = program.slots[state.step] else { return run(state) }
    if answers.isEmpty {
      answers = Array(repeating: Self.unknown, count: program.slotCount * (name.count + 1))
    }
    let slot = (first + state.level) * (name.count + 1) + state.position
    guard answers[slot] == Self.unknown else {
      return .answer(answers[slot] == Self.none ? nil : Int(answers[slot]))
    }
    waiting.append(.remember(slot))
    return run(state)
  }

  private mutating func run(_ state: State) -> Move {
    switch program.steps[state.step] {
    case .one(let test, let next):
      guard state.position < name.count, test.holds(name[state.position]) else {
        return .answer(nil)
      }
      return follow(next, from: state, to: state.position + 1)
    case .split(let first, _):
      waiting.append(.goOn(state))
      return follow(first, from: state, to: state.position)
    case .holds(let anchor, let next):
      guard anchor.holds(at: state.position, in: name) else { return .answer(nil) }
      return follow(next, from: state, to: state.position)
    case .look(let look, let body, _):
      guard look.back <= state.position else { return goOn(state, with: nil) }
      waiting.append(.goOn(state))
      return .visit(State(step: body, position: state.position - look.back, level: 0))
    case .atomic(let body, _):
      waiting.append(.goOn(state))
      return .visit(State(step: body, position: state.position, level: 0))
    case .again(let head, let exit):
      let hasTaken = state.level == program.depths[state.step]
      let level = hasTaken ? program.depths[head] : state.level
      return .visit(State(step: hasTaken ? head : exit, position: state.position, level: level))
    case .accept: return .answer(state.position)
    case .finish: return .answer(whole && state.position < name.count ? nil : state.position)
    }
  }

  /// What a step does with the answer of its first way or its body.
  private func goOn(_ state: State, with end: Int?) -> Move {
    switch program.steps[state.step] {
    case .split(_, let second):
      return end != nil ? .answer(end) : follow(second, from: state, to: state.position)
    case .look(let look, _, let next):
      guard (end != nil) != look.isNegated else { return .answer(nil) }
      return follow(next, from: state, to: state.position)
    case .atomic(_, let next):
      return end.map { follow(next, from: state, to: $0) } ?? .answer(nil)
    case .one, .holds, .again, .accept, .finish: return .answer(end)
    }
  }

  /// The next step; having taken something, all loops around the present one have.
  private func follow(_ next: Int, from state: State, to position: Int) -> Move {
    let level = position > state.position ? program.depths[state.step] : state.level
    return .visit(State(step: next, position: position, level: level))
  }
}
