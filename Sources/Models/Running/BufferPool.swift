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

  /// Lends a buffer as `take` gives it for the length of a call.
  func lend<Result>(_ count: Int, _ body: (Buffer) throws -> Result) throws -> Result {
    let buffer = try take(count)
    defer { give(buffer) }
    return try body(buffer)
  }

  /// Lends a cache for `count` numbers of keys and as many of values.
  func lendCache<Result>(_ count: Int, _ body: (KeyValueCache) throws -> Result) throws -> Result {
    try lend(count) { keys in
      try lend(count) { try body(KeyValueCache(keys: keys, values: $0)) }
    }
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
