internal import Synchronization
internal import TensorCore

/// Memory of square matrices that goes from one to the next: where the system has to find, clear and map hundreds of
/// megabytes anew for each layer, that takes longer than some of the work.
///
/// Keeps three blocks: as many as a sum, its root and its factor need.
public final class MatrixStore: Sendable {
  /// Who has it alone may write it.
  final class Block: @unchecked Sendable {
    var bytes: AlignedBytes

    init(count: Int) { bytes = AlignedBytes(count: count) }
  }

  private static let kept = 3
  /// Smallest first.
  private let free = Mutex<[Block]>([])

  public init() {}

  /// At least so many bytes, of unspecified content.
  func take(_ count: Int) -> Block {
    let known: Block? = free.withLock { free in
      if let place = free.firstIndex(where: { $0.bytes.count >= count }) {
        return free.remove(at: place)
      }
      // Too small for what is needed now.
      if !free.isEmpty { free.removeFirst() }
      return nil
    }
    return known ?? Block(count: count)
  }

  func give(_ block: Block) {
    free.withLock { free in
      let place = free.firstIndex { $0.bytes.count >= block.bytes.count } ?? free.count
      free.insert(block, at: place)
      if free.count > Self.kept { free.removeFirst() }
    }
  }
}
