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
