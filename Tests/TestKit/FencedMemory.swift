#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// Calls `body` with a copy of `source` and with `count` bytes to fill, and returns what was
/// filled in; nil if a byte before the target was written.
///
/// Both end where a page without access begins, so that reading or writing a byte too many ends
/// the process. The target holds rubbish at first.
public func fenced<E>(
  _ source: [UInt8], count: Int, _ body: (RawSpan, inout MutableRawSpan) throws(E) -> Void
) throws(E) -> [UInt8]? {
  let from = FencedMemory(count: source.count)
  let to = FencedMemory(count: count)
  for (index, byte) in source.enumerated() { unsafe from.bytes[index] = byte }
  defer { withExtendedLifetime((from, to)) {} }
  // SAFETY: both blocks live until the end of this function.
  let input = unsafe UnsafeRawBufferPointer(from.bytes)
  var output = unsafe to.bytes.mutableBytes
  try unsafe body(input.bytes, &output)
  return unsafe to.guardIsIntact ? Array(to.bytes) : nil
}

/// Bytes at the very end of accessible memory, with a guard before them.
@safe
private final class FencedMemory {
  let bytes: UnsafeMutableRawBufferPointer
  private let pages: UnsafeMutableRawBufferPointer

  private static let guardCount = 64
  private static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

  init(count: Int) {
    let page = Self.pageSize
    let used = (Self.guardCount + count + page - 1) / page * page
    // SAFETY: the mapping is checked, and unmapped by deinit alone.
    let base = unsafe mmap(
      nil, used + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let base = unsafe base, unsafe base != MAP_FAILED else { fatalError("no memory") }
    unsafe mprotect(base + used, page, PROT_NONE)
    unsafe pages = UnsafeMutableRawBufferPointer(start: base, count: used + page)
    unsafe bytes = UnsafeMutableRawBufferPointer(start: base + used - count, count: count)
    unsafe memset(base, 0xA5, used)
  }

  var guardIsIntact: Bool {
    unsafe pages[..<(pages.count - Self.pageSize - bytes.count)].allSatisfy { $0 == 0xA5 }
  }

  deinit {
    unsafe munmap(pages.baseAddress, pages.count)
  }
}
