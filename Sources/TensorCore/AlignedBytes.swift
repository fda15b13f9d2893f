/// A block of memory on a 64-byte boundary, zeroed when made, freed when it goes out of scope.
///
/// The only owner of raw memory in the package: everything else borrows spans from it.
@safe
public struct AlignedBytes: ~Copyable, @unchecked Sendable {
  private let base: UnsafeMutableRawPointer
  public let count: Int
  /// Whether the system gave whole pages, which become real as they are touched.
  private let isMapped: Bool

  /// Bytes from which on that is worth a call to the system: who fills a block then shares the cost of its pages.
  private static let leastMapped = 32 << 20

  /// Allocates `count` zeroed bytes. O(count). Traps only where the system has no memory left.
  public init(count: Int) {
    precondition(count >= 0)
    self.count = count
    if count >= Self.leastMapped, let pages = unsafe mapZeros(count) {
      // SAFETY: `pages` are `count` zeros that nobody else has.
      isMapped = true
      unsafe base = pages
      return
    }
    isMapped = false
    // SAFETY: at least one byte is asked for; the first `count` are initialised here.
    unsafe base = .allocate(byteCount: max(count, 1), alignment: 64)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: count)
  }

  deinit {
    // SAFETY: given back as it was taken, once.
    if isMapped { return unsafe unmapZeros(base, count) }
    unsafe base.deallocate()
  }

  /// All bytes, readable for as long as this block is borrowed.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      // SAFETY: `base` is valid for `count` bytes while self lives, and the span depends on self.
      let span = unsafe RawSpan(_unsafeStart: base, byteCount: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// All bytes, writable for as long as this block is borrowed exclusively.
  public var mutableBytes: MutableRawSpan {
    @_lifetime(&self)
    mutating get {
      // SAFETY: as above, and the borrow is exclusive.
      let span = unsafe MutableRawSpan(_unsafeStart: base, byteCount: count)
      return unsafe _overrideLifetime(span, mutating: &self)
    }
  }

  /// Lends all bytes for the length of a call: for blocks that are kept in objects.
  public func withBytes<Result>(_ body: (RawSpan) throws -> Result) rethrows -> Result {
    try body(bytes)
  }

  /// Lends the first `count` bytes for the length of a call.
  public mutating func withMutableBytes<Result>(
    count: Int, _ body: (inout MutableRawSpan) throws -> Result
  ) rethrows -> Result {
    var all = mutableBytes
    var part = all.part(0..<count)
    return try body(&part)
  }
}
