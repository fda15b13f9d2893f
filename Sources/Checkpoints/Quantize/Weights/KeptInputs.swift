internal import Kernels

/// What the last layers of halves of blocks read, by run of windows, kept so that a half is not run again: in buffers
/// that later halves use again, within some bytes.
final class KeptInputs {
  private let compute: any Compute
  /// The most bytes of all buffers.
  private let room: Int
  private var bytes = 0
  private var free: [Buffer] = []
  private var kept: [Int: Buffer] = [:]

  init(_ compute: any Compute, room: Int) {
    (self.compute, self.room) = (compute, room)
  }

  /// Keeps a copy of the first `count` numbers, where there is room. Throws `device`.
  func keep(_ input: Buffer, count: Int, of run: Int) throws {
    guard let buffer = try buffer(count) else { return }
    try compute.copy(input, count: count, to: buffer)
    kept[run] = buffer
  }

  /// Lends what was kept of a run for the last time, or nil.
  func lend<Result>(_ run: Int, _ body: (Buffer?) throws -> Result) rethrows -> Result {
    let buffer = kept.removeValue(forKey: run)
    defer { if let buffer { free.append(buffer) } }
    return try body(buffer)
  }

  private func buffer(_ count: Int) throws -> Buffer? {
    if let place = free.lastIndex(where: { $0.count >= count }) { return free.remove(at: place) }
    while bytes + count * 4 > room, let last = free.popLast() { bytes -= last.count * 4 }
    guard bytes + count * 4 <= room else { return nil }
    bytes += count * 4
    return try compute.makeBuffer(count)
  }
}
