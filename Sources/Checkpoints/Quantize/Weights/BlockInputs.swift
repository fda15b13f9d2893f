internal import Kernels
internal import Models
internal import Quantizers

/// The hidden states of all windows on their way through one block, and what its linear layers read on it.
///
/// A half of the block whose layers are done is left behind: what comes after is run from there, and where there
/// was room for what the last layer of a half reads, that half is not run again at all.
final class BlockInputs {
  /// The unquantized model: its states before the block, which stay, and the block.
  struct Original {
    let states: HiddenStates
    let block: DecoderBlock
  }

  private let parent: CalibratedRun
  private let states: HiddenStates
  /// Whether the states are moved on from half to half; otherwise they stay before the block.
  private let movesOn: Bool
  /// Where sums of the difference to its inputs are wanted.
  private let original: Original?
  private var left = BlockHalf.allCases
  private var run: WindowRun { parent.run }
  private var clock: StageClock { parent.clock }
  /// What the last layer of the first half left reads.
  private var kept: KeptInputs { parent.kept }

  init(
    _ parent: CalibratedRun, _ states: HiddenStates, movesOn: Bool, original: Original? = nil
  ) {
    (self.parent, self.states, self.movesOn) = (parent, states, movesOn)
    self.original = original
  }

  /// Sums of what groups of layers read with the weights as they are now, in one pass over all windows that ends
  /// where the last of the groups has been fed. Experts get only what is routed to them, so that a block with them is
  /// passed to its end. `keeps`: weights before these do not change any more.
  func hessians(
    of groups: [[String]], columns: [Int], in block: DecoderBlock, keeps: Bool
  ) throws -> [HessianSum] {
    let halves = try halves(for: groups, block)
    let sums = zip(groups, columns).map {
      HessianSum(
        columns: $1, precision: parent.plan.quantization.hessianPrecision,
        hasDrift: original != nil,
        name: $0[0], threads: parent.plan.options.threads, in: parent.matrices)
    }
    let places = Dictionary(uniqueKeysWithValues: groups.enumerated().map { ($1[0], $0) })
    let last = keeps ? keptLayer(of: halves, block) : nil
    for index in states.runs.indices {
      var missing = groups.count
      let originals = try originals(index, places)
      try pass(states, index, block, halves) { [self] readers, input, rows, width in
        guard let place = readers.lazy.compactMap({ places[$0] }).first else { return true }
        try clock.measure(.hessians, within: .forward) {
          try add(input, rows * width, original: originals[place], to: sums[place])
        }
        if last == groups[place][0] { try kept.keep(input, count: rows * width, of: index) }
        missing -= 1
        return missing > 0 || block.plan.hasExperts && halves.contains(.feedForward)
      }
    }
    return sums
  }

  private func pass(
    _ states: HiddenStates, _ index: Int, _ block: DecoderBlock, _ halves: [BlockHalf],
    _ tap: @escaping WindowRun.Tap
  ) throws {
    try clock.measure(.forward) {
      try states.with(index, run) { hidden, shape in
        _ = try run.run(block, halves, hidden, shape, tap: tap)
      }
    }
  }

  private func add(
    _ input: Buffer, _ count: Int, original: [Float]?, to sum: HessianSum
  ) throws {
    try run.compute.withFloats(input, count: count) { sum.add($0, original: original?.rawSpan) }
  }

  /// What the unquantized model gives the groups at these places in a run of windows; nothing where nobody asks.
  private func originals(_ index: Int, _ places: [String: Int]) throws -> [Int: [Float]] {
    guard let original else { return [:] }
    var found: [Int: [Float]] = [:]
    try pass(original.states, index, original.block, BlockHalf.allCases) {
      [run] readers, input, rows, width in
      guard let place = readers.lazy.compactMap({ places[$0] }).first else { return true }
      found[place] = try run.compute.floats(input, rows * width)
      return found.count < places.count
    }
    return found
  }

  /// Moves the states past all halves that are left.
  func leave(_ block: DecoderBlock) throws {
    while let half = left.first { try leave(half, block) }
  }

  /// The halves to run for these groups, from where the states are.
  private func halves(for groups: [[String]], _ block: DecoderBlock) throws -> [BlockHalf] {
    let own = Set(block.plan.inputGroups(of: .attention).map { $0[0].name })
    let isSecond = !groups.contains { own.contains($0[0]) }
    let isFirst = groups.allSatisfy { own.contains($0[0]) }
    guard movesOn, isSecond else { return isFirst ? [.attention] : BlockHalf.allCases }
    if left.first == .attention { try leave(.attention, block) }
    return [.feedForward]
  }

  private func keptLayer(of halves: [BlockHalf], _ block: DecoderBlock) -> String? {
    guard movesOn, halves.count == 1 else { return nil }
    return block.plan.lastLinear(of: halves[0])?.name
  }

  private func leave(_ half: BlockHalf, _ block: DecoderBlock) throws {
    try clock.measure(.forward) {
      for index in states.runs.indices {
        try states.change(index, run) { hidden, shape in
          try kept.lend(index) { inner in
            if let inner {
              try run.finish(block, half, hidden, inner: inner, shape)
            } else {
              try run.run(block, [half], hidden, shape)
            }
          }
        }
      }
    }
    left.removeFirst()
  }
}

extension HiddenStates {
  /// Lends a copy of the states of a run.
  func with<Result>(
    _ index: Int, _ run: WindowRun, _ body: (Buffer, WindowShape) throws -> Result
  ) throws -> Result {
    let shape = runs[index].shape
    return try run.lendStates(shape) { hidden in
      try load(index, into: hidden, of: run.compute)
      return try body(hidden, shape)
    }
  }

  /// Lends the states of a run and keeps what becomes of them.
  func change(
    _ index: Int, _ run: WindowRun, _ body: (Buffer, WindowShape) throws -> Void
  ) throws {
    try with(index, run) { hidden, shape in
      try body(hidden, shape)
      try store(hidden, of: run.compute, at: index)
    }
  }
}
