internal import Synchronization

/// Runs `body` for every index in 0..<count on up to `threads` threads, this one included, and
/// returns when all have run.
///
/// Threads take the next index as they become free, so which thread runs an index is open, and
/// bodies must not depend on each other. If bodies throw, indices not begun are left out and the
/// error of the lowest index is thrown, the same one whatever the number of threads.
public func parallelFor<E>(
  _ count: Int, threads: Int = Processor.cores, _ body: @Sendable (Int) throws(E) -> Void
) throws(E) {
  precondition(count >= 0 && threads > 0)
  guard count > 0 else { return }
  let next = Atomic(0)
  let failure = Mutex<(index: Int, error: E)?>(nil)
  withoutActuallyEscaping(body) { body in
    runOnThreads(extra: min(threads, count) - 1) {
      while true {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard index < count else { return }
        do throws(E) {
          try body(index)
        } catch {
          // Every lower index is taken already; no further one will be.
          next.store(count, ordering: .relaxed)
          failure.withLock { if index < $0?.index ?? count { $0 = (index, error) } }
        }
      }
    }
  }
  if let error = failure.withLock({ $0?.error }) { throw error }
}

/// Runs `body` for every part of `size` bytes of `bytes`, the last one possibly shorter, as
/// `parallelFor` does: `body` gets the index of the part and its bytes, exclusively.
public func parallelFor<E>(
  partsOf bytes: inout MutableRawSpan, size: Int, threads: Int = Processor.cores,
  _ body: @Sendable (Int, inout MutableRawSpan) throws(E) -> Void
) throws(E) {
  precondition(size > 0)
  let count = bytes.byteCount
  let parts = count / size + (count % size == 0 ? 0 : 1)
  guard parts > 0 else { return }
  // SAFETY: the parts do not overlap, each is lent once, and all are returned before `bytes` is.
  let base = unsafe bytes.withUnsafeMutableBytes { unsafe SharedAddress(bytes: $0) }
  try parallelFor(parts, threads: threads) { index throws(E) in
    let range = index * size..<min(index * size + size, count)
    let part = unsafe UnsafeMutableRawBufferPointer(rebasing: base.bytes[range])
    var span = unsafe part.mutableBytes
    try body(index, &span)
  }
}

@safe
private struct SharedAddress: @unchecked Sendable {
  let bytes: UnsafeMutableRawBufferPointer
}
