internal import CZstd
internal import Synchronization
internal import TensorCore

/// Frames of zstd (RFC 8878), each with its content size, without dictionary and checksum.
public enum Zstd {
  /// The library's version, such as `1.5.4`. The same version makes the same frames.
  // SAFETY: the string is a constant of the library.
  public static let version = unsafe String(cString: ZSTD_versionString())

  /// How a frame is made.
  public enum Method: Sendable, Equatable {
    /// As the library does at a level from 1 to 22.
    case level(Int)
    /// Huffman codes alone: one sequence of literals a block, no search for matches. What is left
    /// to gain in bytes that are drawn independently.
    case literals
  }

  /// The levels of `Method.level`.
  public static let levels = 1...22

  /// The largest frame that `count` bytes can become.
  public static func bound(_ count: Int) -> Int { ZSTD_compressBound(count) }

  /// Makes one frame of `source` at the start of `target`; returns its bytes, nil where `target`
  /// has no room for it. O(bytes).
  public static func compress(
    _ source: RawSpan, _ method: Method, into target: inout MutableRawSpan
  ) -> Int? {
    let context = Contexts.compressing.take()
    defer { Contexts.compressing.put(context) }
    // SAFETY: the spans are valid for their counts during the call.
    let size = unsafe target.withUnsafeMutableBytes { to in
      unsafe source.withUnsafeBytes { from in
        unsafe context.compress(from, method, into: to)
      }
    }
    return ZSTD_isError(size) == 0 ? size : nil
  }

  /// The content size of a frame that is exactly all of `frame` and can be expanded without a
  /// dictionary; nil otherwise. Reads headers only, takes no memory.
  public static func contentSize(_ frame: RawSpan) -> Int? {
    // SAFETY: the span is valid for its count, the header is a local variable.
    unsafe frame.withUnsafeBytes { bytes in
      var header = ZSTD_frameHeader()
      guard let start = bytes.baseAddress,
        unsafe ZSTD_getFrameHeader(&header, start, bytes.count) == 0,
        header.frameType == ZSTD_frame, header.dictID == 0,
        header.frameContentSize <= UInt64(Int.max),
        unsafe ZSTD_findFrameCompressedSize(start, bytes.count) == bytes.count
      else { return nil }
      return Int(header.frameContentSize)
    }
  }

  /// Expands one frame into `target`; false where it is damaged or has another size. O(bytes).
  public static func expand(_ frame: RawSpan, into target: inout MutableRawSpan) -> Bool {
    let context = Contexts.expanding.take()
    defer { Contexts.expanding.put(context) }
    // SAFETY: the spans are valid for their counts during the call.
    return unsafe target.withUnsafeMutableBytes { to in
      unsafe frame.withUnsafeBytes { from in
        guard let source = from.baseAddress, let start = to.baseAddress else { return false }
        return unsafe ZSTD_decompressDCtx(context.pointer, start, to.count, source, from.count)
          == to.count
      }
    }
  }
}

/// Contexts of the library, each used by one thread at a time and kept for the next.
private enum Contexts {
  static let compressing = Pool<CompressingContext>()
  static let expanding = Pool<ExpandingContext>()
}

private protocol Context: AnyObject, Sendable {
  init()
}

private final class Pool<Element: Context>: Sendable {
  private let idle = Mutex<[Element]>([])

  func take() -> Element { idle.withLock { $0.popLast() } ?? Element() }

  func put(_ element: Element) { idle.withLock { $0.append(element) } }
}

@safe
private final class CompressingContext: Context, @unchecked Sendable {
  private static let blockBytes = 1 << 17
  private let pointer: OpaquePointer
  private var method: Zstd.Method?

  init() {
    // SAFETY: the library returns null only where there is no memory.
    guard let made = unsafe ZSTD_createCCtx() else { preconditionFailure("no memory") }
    unsafe pointer = made
  }

  deinit {
    unsafe ZSTD_freeCCtx(pointer)
  }

  func compress(
    _ source: UnsafeRawBufferPointer, _ method: Zstd.Method,
    into target: UnsafeMutableRawBufferPointer
  ) -> Int {
    if method != self.method { prepare(method) }
    // SAFETY: both buffers are valid for the call; an empty one may have no address.
    switch method {
    case .level:
      return unsafe ZSTD_compress2(
        pointer, target.baseAddress, target.count, source.baseAddress, source.count)
    case .literals:
      let sequences = Self.blocks(source.count)
      return unsafe ZSTD_compressSequences(
        pointer, target.baseAddress, target.count, sequences, sequences.count,
        source.baseAddress, source.count)
    }
  }

  private func prepare(_ method: Zstd.Method) {
    // SAFETY: the context is this object's own.
    unsafe ZSTD_CCtx_reset(pointer, ZSTD_reset_session_and_parameters)
    switch method {
    case .level(let level):
      unsafe ZSTD_CCtx_setParameter(pointer, ZSTD_c_compressionLevel, Int32(level))
    case .literals:
      // ZSTD_c_literalCompressionMode and ZSTD_c_blockDelimiters by the names that stay.
      unsafe ZSTD_CCtx_setParameter(
        pointer, ZSTD_c_experimentalParam5, Int32(ZSTD_ps_enable.rawValue))
      unsafe ZSTD_CCtx_setParameter(
        pointer, ZSTD_c_experimentalParam11, Int32(ZSTD_sf_explicitBlockDelimiters.rawValue))
    }
    self.method = method
  }

  /// One sequence a block, nothing but literals in it.
  private static func blocks(_ count: Int) -> [ZSTD_Sequence] {
    stride(from: 0, to: max(count, 1), by: blockBytes).map {
      ZSTD_Sequence(
        offset: 0, litLength: UInt32(min(blockBytes, count - $0)), matchLength: 0, rep: 0)
    }
  }
}

@safe
private final class ExpandingContext: Context, @unchecked Sendable {
  let pointer: OpaquePointer

  init() {
    // SAFETY: as above.
    guard let made = unsafe ZSTD_createDCtx() else { preconditionFailure("no memory") }
    unsafe pointer = made
  }

  deinit {
    unsafe ZSTD_freeDCtx(pointer)
  }
}
