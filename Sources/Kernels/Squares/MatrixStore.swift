internal import Synchronization
internal import TensorCore

/// Memory of square matrices that goes from one to the next: where the system has to find, clear and map hundreds of
/// megabytes anew for each layer, that takes longer than some of the work.
///
/// Keeps two blocks of the largest size that was asked for.
public final class MatrixStore: Sendable {
  /// Who has it alone may write it.
  final class Block: @unchecked Sendable {
    var bytes: AlignedBytes

    init(count: Int) { bytes = AlignedBytes(count: count) }
  }

  private static let kept = 2
  private let free = Mutex<(size: Int, blocks: [Block])>((0, []))

  public init() {}

  /// Bytes of unspecified content.
  func take(_ count: Int) -> Block {
    let known: Block? = free.withLock { free in
      if count > free.size { free = (count, []) }
      return count == free.size ? free.blocks.popLast() : nil
    }
    return known ?? Block(count: count)
  }

  func give(_ block: Block) {
    free.withLock { free in
      guard block.bytes.count == free.size, free.blocks.count < Self.kept else { return }
      free.blocks.append(block)
    }
  }
}
