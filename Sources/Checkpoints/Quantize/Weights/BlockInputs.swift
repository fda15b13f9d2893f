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

  private let states: HiddenStates
  private let run: WindowRun
  private let clock: StageClock
  private let threads: Int
  /// Bytes that kept inputs may take.
  private let room: Int
  /// Whether the states are moved on from half to half; otherwise they stay before the block.
  private let movesOn: Bool
  /// Where sums of the difference to its inputs are wanted.
  private let original: Original?
  /// What sums are made in.
  private let precision: SquareMatrix.Precision
  private var left = BlockHalf.allCases
  /// What the last layer of the first half left reads, by run.
  private var kept: [Int: [Float]] = [:]

  init(
    _ states: HiddenStates, _ run: WindowRun, _ clock: StageClock, room: Int, threads: Int,
    movesOn: Bool, original: Original? = nil, precision: SquareMatrix.Precision
  ) {
    self.precision = precision
    (self.states, self.run, self.clock, self.original) = (states, run, clock, original)
    (self.room, self.threads, self.movesOn) = (room, threads, movesOn)
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
        columns: $1, precision: precision, hasDrift: original != nil, name: $0[0], threads: threads)
    }
    let places = Dictionary(uniqueKeysWithValues: groups.enumerated().map { ($1[0], $0) })
    let last = keeps ? keptLayer(of: halves, block) : nil
    var bytes = 0
    for (index, batch) in states.runs.enumerated() {
      var missing = groups.count
      let originals = try originals(index, places)
      _ = try clock.measure(.forward) {
        try run.run(block, halves, states[index], sequences: batch.sequences) {
          [self] readers, _, _, values in
          guard let place = readers.lazy.compactMap({ places[$0] }).first else { return true }
          let values = try values()
          clock.measure(.hessians, within: .forward) {
            sums[place].add(values, original: originals[place])
          }
          if last == groups[place][0], bytes + values.count * 4 <= room {
            kept[index] = values
            bytes += values.count * 4
          }
          missing -= 1
          return missing > 0 || block.plan.hasExperts && halves.contains(.feedForward)
        }
      }
    }
    return sums
  }

  /// What the unquantized model gives the groups at these places in a run of windows; nothing where nobody asks.
  private func originals(_ index: Int, _ places: [String: Int]) throws -> [Int: [Float]] {
    guard let original else { return [:] }
    let sequences = states.runs[index].sequences
    var found: [Int: [Float]] = [:]
    _ = try clock.measure(.forward) {
      try run.run(original.block, original.states[index], sequences: sequences) {
        readers, _, _, values in
        guard let place = readers.lazy.compactMap({ places[$0] }).first else { return true }
        found[place] = try values()
        return found.count < places.count
      }
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
      for (index, batch) in states.runs.enumerated() {
        let hidden = try states[index]
        let output =
          if let inner = kept.removeValue(forKey: index) {
            try run.finish(block, half, hidden, inner: inner, sequences: batch.sequences)
          } else {
            try run.run(block, [half], hidden, sequences: batch.sequences)
          }
        try states.set(output ?? [], at: index)
      }
    }
    left.removeFirst()
  }
}
