internal import Kernels

/// New tokens of some sequences on their way through the blocks: as many of each, at the same positions.
struct Passage {
  let sequences: Int
  /// New tokens of each sequence.
  let tokens: Int
  /// Positions before them.
  let start: Int
  /// Positions the caches have room for.
  let capacity: Int
  /// Cosines and sines `[tokens][pairs]` of each of the model's rotary embeddings.
  let turns: [Turn]
  /// The row of those tables of each token: `[sequences][tokens]`.
  let positions: [Int32]

  struct Turn {
    let cosines: Buffer
    let sines: Buffer
    let pairs: Int
  }

  var rows: Int { sequences * tokens }

  /// `length`: positions of the whole text that the frequencies of some rotary embeddings depend on.
  init(
    sequences: Int, tokens: Int, start: Int, capacity: Int, length: Int, ropes: [RopePlan],
    _ loader: WeightLoader
  ) throws {
    self.sequences = sequences
    self.tokens = tokens
    self.start = start
    self.capacity = capacity
    positions = (0..<sequences).flatMap { _ in (0..<tokens).map(Int32.init) }
    turns = try ropes.map { rope in
      let table = rope.table(start..<start + tokens, length: length)
      return Turn(
        cosines: try loader.buffer(table.cosines), sines: try loader.buffer(table.sines),
        pairs: rope.pairs)
    }
  }
}

/// What attention keeps of the positions before: `[sequences][capacity][kvHeads · headSize]` each.
struct KeyValueCache {
  let keys: Buffer
  let values: Buffer
}
