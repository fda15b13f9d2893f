// The one file that knows which C library there is.
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

extension Failure {
  /// A refusal of the operating system in words; by default the last `errno`.
  static func system(_ action: String, _ path: String, code: Int32? = nil) -> Failure {
    // SAFETY: strerror returns a NUL-terminated string that lives until the next call on this thread.
    let reason = unsafe String(cString: strerror(code ?? errno))
    return Failure(.io, at: path, "cannot \(action)", found: reason)
  }
}

/// Pages of zeros for `count` bytes, at least one, large ones where the system has them; nil where it refuses.
func mapZeros(_ count: Int) -> UnsafeMutableRawPointer? {
  // SAFETY: a private mapping at a place of the system's choice touches no other memory.
  guard
    let pages = unsafe mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0),
    unsafe pages != MAP_FAILED
  else { return nil }
  #if os(Linux)
    // SAFETY: advice about the mapping just made; a refusal changes nothing.
    unsafe _ = madvise(pages, count, 14)  // MADV_HUGEPAGE
  #endif
  return unsafe pages
}

func unmapZeros(_ pages: UnsafeMutableRawPointer, _ count: Int) {
  // SAFETY: the caller's word that these are pages of `mapZeros` and that nobody uses them any more.
  unsafe _ = munmap(pages, count)
}
