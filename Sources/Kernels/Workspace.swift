internal import TensorCore

/// Buffers that one thread borrows again and again, so that a band costs no allocation.
///
/// Used by one thread at a time, which `parallelBands` sees to; it may move between them.
public final class Workspace: @unchecked Sendable {
  private final class Block {
    var bytes: AlignedBytes
    init(count: Int) { bytes = AlignedBytes(count: count) }
  }

  private var free: [Block] = []

  public init() {}

  /// Lends `count` bytes of unspecified content to `body`. Nested calls get different buffers.
  /// O(1) after the first calls of a size.
  public func lend<Result>(
    _ count: Int, _ body: (inout MutableRawSpan) throws -> Result
  ) rethrows -> Result {
    let block = take(count)
    defer { free.append(block) }
    return try block.bytes.withMutableBytes(count: count, body)
  }

  private func take(_ count: Int) -> Block {
    var best: Int?
    for (index, block) in free.enumerated() where block.bytes.count >= count {
      if best.map({ block.bytes.count < free[$0].bytes.count }) ?? true { best = index }
    }
    if let best { return free.remove(at: best) }
    if !free.isEmpty { free.removeLast() }
    return Block(count: count)
  }
}
