internal import TensorCore

/// The operations of models on the host's cores: C kernels, OpenBLAS on tiles, weights in the type they came
/// in or packed.
///
/// The number of threads changes no bit; neither does the level but where OpenBLAS multiplies (more than
/// `Self.fewTokens` tokens, attention of many), which chooses its own kernels.
public final class CPUCompute: Compute {
  public let name = "cpu"
  let threads: Int
  let level: Processor.Level

  /// The most tokens that weights are multiplied with row by row: more go through OpenBLAS.
  static let fewTokens = 8

  public init(threads: Int = Processor.cores, on level: Processor.Level = .best) {
    precondition(threads > 0)
    self.threads = threads
    self.level = level
  }

  public func makeBuffer(_ count: Int) -> Buffer { CPUBuffer(count: count) }

  public func write(_ values: RawSpan, to buffer: Buffer, at index: Int) {
    let target = Self.numbers(buffer).slice(index, values.byteCount / 4)
    // SAFETY: only read, for the length of the call.
    unsafe values.withUnsafeBytes { bytes in
      let source = unsafe Numbers(UnsafeMutableRawBufferPointer(mutating: bytes))
      copy(source, to: target)
    }
  }

  public func read(_ buffer: Buffer, at index: Int, into values: inout MutableRawSpan) {
    let source = Self.numbers(buffer).slice(index, values.byteCount / 4)
    // SAFETY: lent for the length of the call.
    unsafe values.withUnsafeMutableBytes { bytes in
      let target = unsafe Numbers(bytes)
      copy(source, to: target)
    }
  }

  public func withFloats<Result>(
    _ buffer: Buffer, count: Int, _ body: (RawSpan) throws -> Result
  ) rethrows -> Result {
    try Self.numbers(buffer).slice(0, count).withBytes(body)
  }

  public func copy(_ source: Buffer, count: Int, to target: Buffer) {
    copy(Self.numbers(source).slice(0, count), to: Self.numbers(target).slice(0, count))
  }

  private func copy(_ source: Numbers, to target: Numbers) {
    inParts(target.count) { start, count in
      target.slice(start, count).copy(from: source.slice(start, count))
    }
  }

  static func numbers(_ buffer: Buffer) -> Numbers {
    guard let buffer = buffer as? CPUBuffer else {
      preconditionFailure("a buffer of another device")
    }
    return buffer.numbers
  }

  /// Runs `body` on parts of `count` numbers that are worth a thread.
  func inParts(_ count: Int, _ body: @Sendable (_ start: Int, _ count: Int) -> Void) {
    let size = 1 << 15
    parallelFor(count.dividedRoundingUp(by: size), threads: threads) { part in
      body(part * size, min(size, count - part * size))
    }
  }

  /// Runs `body` on ranges of rows that are worth a thread.
  func inRows(_ rows: Int, width: Int, _ body: @Sendable (_ row: Int) -> Void) {
    let size = max(1, (1 << 15) / max(width, 1))
    parallelFor(rows.dividedRoundingUp(by: size), threads: threads) { part in
      for row in part * size..<min((part + 1) * size, rows) { body(row) }
    }
  }
}
