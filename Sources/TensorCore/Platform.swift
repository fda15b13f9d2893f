// The one file that knows which C library there is.
#if canImport(Glibc)
  @_exported import Glibc
#elseif canImport(Musl)
  @_exported import Musl
#elseif canImport(Darwin)
  @_exported import Darwin
#endif

extension Failure {
  /// A refusal of the operating system: the last `errno` in words.
  public static func system(_ action: String, _ path: String, code: Int32 = errno) -> Failure {
    // SAFETY: strerror returns a NUL-terminated string that lives until the next call on this thread.
    let reason = unsafe String(cString: strerror(code))
    return Failure(.io, at: path, "cannot \(action)", found: reason)
  }
}
