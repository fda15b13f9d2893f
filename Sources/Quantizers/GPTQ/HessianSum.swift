public import Kernels
public import TensorCore

/// Takes in the inputs of linear layers, run by run, and gives their `Hessian`.
///
/// Runs are gathered into chunks of a fixed number of tokens, and the sums are made tile by tile, so that
/// neither the division into runs nor the number of threads changes a bit. Used by one thread at a
/// time, which may change.
public final class HessianSum: @unchecked Sendable {
  /// Tokens of a chunk.
  static let chunk = 1024

  public let columns: Int
  public let precision: SquareMatrix.Precision
  public private(set) var tokens = 0
  private let threads: Int
  private let name: String
  private let sum: SquareMatrix
  private let driftSum: SquareMatrix?
  private var inputs: AlignedBytes
  private var drifts: AlignedBytes
  private var waiting = 0

  /// Of inputs with so many channels. `hasDrift`: the inputs of the unquantized model are given too
  /// (`GPTQuantizer.asymmetry`). Takes columns² numbers, of `store` where there is one, and 1024·columns, both twice
  /// with a drift.
  public init(
    columns: Int, precision: SquareMatrix.Precision = .single, hasDrift: Bool = false,
    name: String, threads: Int = Processor.cores, in store: MatrixStore? = nil
  ) {
    precondition(columns > 0)
    (self.columns, self.precision, self.name, self.threads) = (columns, precision, name, threads)
    sum = .zeros(columns, precision: precision, in: store, threads: threads)
    driftSum = hasDrift ? SquareMatrix(count: columns, precision: precision) : nil
    let bytes = Self.chunk * columns * (precision == .single ? 4 : 8)
    inputs = AlignedBytes(count: bytes)
    drifts = AlignedBytes(count: hasDrift ? bytes : 0)
  }

  /// Takes in inputs `[tokens][columns]`, and with a drift those of the unquantized model.
  /// O(tokens·columns²). Traps where counts do not fit.
  public func add(_ values: [Float], original: [Float]? = nil) {
    add(values.rawSpan, original: original?.rawSpan)
  }

  /// The same of f32 numbers that lie elsewhere.
  public func add(_ values: RawSpan, original: RawSpan? = nil) {
    precondition(values.byteCount % (columns * 4) == 0 && (original == nil) == (driftSum == nil))
    let count = values.byteCount / (columns * 4)
    var done = 0
    while done < count {
      let some = min(Self.chunk - waiting, count - done)
      let part = done * columns..<(done + some) * columns
      if some == Self.chunk, precision == .single, original == nil {
        let chunk = values.part(part.lowerBound * 4..<part.upperBound * 4)
        sum.addGram(chunk, tokens: some, threads: threads)
        done += some
        continue
      }
      copy(values, part, into: &inputs)
      if let original {
        precondition(original.byteCount == values.byteCount)
        let moved = part.map { original.float32(at: $0) - values.float32(at: $0) }
        copy(moved.rawSpan, 0..<moved.count, into: &drifts)
      }
      waiting += some
      done += some
      if waiting == Self.chunk { takeIn() }
    }
    tokens += count
  }

  /// The Hessian of all tokens; nothing may be added after. O(columns²).
  ///
  /// Throws `usage` where there were no tokens, `cannotRepresent`, naming the channel, where an input
  /// was not finite.
  public func finish() throws(Failure) -> Hessian {
    guard tokens > 0 else {
      throw Failure(.usage, at: name, "no token reached this layer")
    }
    takeIn()
    let factor = 2 / Double(tokens)
    sum.completeTriangle(times: factor, threads: threads)
    driftSum?.multiply(by: factor, threads: threads)
    let hessian = Hessian(sum, drift: driftSum, tokens: tokens)
    try hessian.check(name)
    return hessian
  }

  private func takeIn() {
    guard waiting > 0 else { return }
    let bytes = waiting * columns * (precision == .single ? 4 : 8)
    inputs.withBytes { inputs in
      sum.addGram(inputs.part(0..<bytes), tokens: waiting, threads: threads)
      guard let driftSum else { return }
      drifts.withBytes {
        driftSum.addProduct(
          $0.part(0..<bytes), inputs.part(0..<bytes), tokens: waiting, threads: threads)
      }
    }
    waiting = 0
  }

  private func copy(_ values: RawSpan, _ part: Range<Int>, into target: inout AlignedBytes) {
    let start = waiting * columns
    let source = values.part(part.lowerBound * 4..<part.upperBound * 4)
    target.withMutableBytes(count: target.count) { target in
      guard precision == .single else {
        return FloatConversion.toFloat64(source, into: &target, at: start)
      }
      var to = target.part(start * 4..<(start + part.count) * 4)
      to.copy(from: source)
    }
  }
}
