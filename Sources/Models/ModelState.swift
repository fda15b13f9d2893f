internal import Kernels
internal import TensorCore

/// The positions that some sequences have behind them, and what attention keeps of them. Used by one thread at
/// a time.
public final class ModelState {
  public let sequences: Int
  /// Positions there is room for.
  public let capacity: Int
  /// Positions that are taken, of each sequence.
  public private(set) var position = 0
  let caches: [KeyValueCache]
  let pool: BufferPool

  init(_ blueprint: Blueprint, sequences: Int, capacity: Int, _ compute: any Compute) throws {
    self.sequences = sequences
    self.capacity = capacity
    pool = BufferPool(compute)
    caches = try blueprint.blocks.map { block in
      let count = sequences * capacity * block.attention.keyWidth
      return KeyValueCache(
        keys: try compute.makeBuffer(count), values: try compute.makeBuffer(count))
    }
  }

  func advance(by tokens: Int) { position += tokens }

  /// Forgets the positions from `position` on. Traps where it was never reached.
  public func rewind(to position: Int = 0) {
    precondition((0...self.position).contains(position))
    self.position = position
  }
}

/// Which rows of logits a forward pass computes.
public enum LogitRows: Sendable {
  case none
  /// Of the last token of each sequence.
  case last
  case all
}
