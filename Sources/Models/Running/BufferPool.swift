internal import Kernels

/// Buffers that passes borrow again and again. Used by one thread at a time.
final class BufferPool {
  private let compute: any Compute
  private var free: [Buffer] = []
  private static let kept = 16

  init(_ compute: any Compute) {
    self.compute = compute
  }

  /// A buffer for at least `count` numbers, of unspecified content.
  func take(_ count: Int) throws -> Buffer {
    var best: Int?
    for (index, buffer) in free.enumerated()
    where buffer.count >= count && buffer.count <= 4 * max(count, 1024) {
      if best.map({ buffer.count < free[$0].count }) ?? true { best = index }
    }
    return if let best { free.remove(at: best) } else { try compute.makeBuffer(count) }
  }

  func empty() { free = [] }

  func give(_ buffers: Buffer?...) {
    give(buffers.compactMap(\.self))
  }

  func give(_ buffers: [Buffer]) {
    free += buffers
    if free.count > Self.kept { free.removeFirst(free.count - Self.kept) }
  }
}
