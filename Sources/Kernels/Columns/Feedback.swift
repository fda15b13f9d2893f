internal import CKernels
internal import TensorCore

/// A block of columns rounded one after the other, each one's error made up for by those behind it: GPTQ's
/// inner loop (Frantar et al., 2023, algorithm 1), for the rows of a panel.
///
/// For column i: q = round(w), e = (w − q)/U[i][i], and w[j] −= e·U[i][j] for the columns j behind it in the
/// block, a product rounded and then a difference rounded, in the order of i. The buffers are used
/// again for every block.
public struct FeedbackBlock: ~Copyable {
  /// At most so many columns.
  public static let maxColumns = Int(ck_feedback_columns)

  public let rows: Int
  private var codes: AlignedBytes
  private var errors: AlignedBytes
  private var seen: AlignedBytes
  private var sums: AlignedBytes

  public init(rows: Int) {
    precondition(rows > 0)
    self.rows = rows
    codes = AlignedBytes(count: Self.maxColumns * rows)
    errors = AlignedBytes(count: Self.maxColumns * rows * 4)
    seen = AlignedBytes(count: Self.maxColumns * rows * 4)
    sums = AlignedBytes(count: rows * 8)
  }

  /// Rounds `values`, f32 `[columns][rows]`, to codes 0 … `top`; `original` is what they were before any
  /// error was moved on to them. `factor` begins at U's corner of the block,
  /// rows `stride` numbers apart; `drift`, likewise, is what each column as it was rounded adds to those
  /// behind it. `scales` and `zeros` are f32 `[groups][rows]`, `groups` the row of them for each
  /// column. O(columns²·rows). Traps where lengths do not fit.
  public mutating func round(
    _ values: RawSpan, original: RawSpan, factor: RawSpan, drift: RawSpan? = nil, stride: Int,
    scales: RawSpan,
    zeros: RawSpan, groups: [UInt32], top: Int, on level: Processor.Level = .best
  ) {
    let columns = groups.count
    let corner = ((columns - 1) * stride + columns) * 4
    precondition(columns > 0 && columns <= Self.maxColumns)
    precondition(values.byteCount == columns * rows * 4)
    precondition(original.byteCount == values.byteCount)
    precondition(factor.byteCount >= corner)
    if let drift { precondition(drift.byteCount >= corner) }
    precondition(scales.byteCount == zeros.byteCount)
    precondition(groups.allSatisfy { (Int($0) + 1) * rows * 4 <= scales.byteCount })
    // SAFETY: all lengths were checked, and the addresses are used within the calls that lend them.
    var job = unsafe ck_feedback()
    unsafe (job.columns, job.rows, job.stride) = (columns, rows, rows)
    unsafe (job.factor_stride, job.parameter_stride, job.top) = (stride, rows, Float(top))
    unsafe lend(to: &job)
    unsafe values.withUnsafeBytes { values in
      unsafe factor.withUnsafeBytes { factor in
        unsafe scales.withUnsafeBytes { scales in
          unsafe zeros.withUnsafeBytes { zeros in
            unsafe groups.withUnsafeBufferPointer { groups in
              unsafe job.values = Self.floats(values)
              unsafe original.withUnsafeBytes { unsafe job.original = Self.floats($0) }
              unsafe job.factor = Self.floats(factor)
              unsafe job.scales = Self.floats(scales)
              unsafe job.zeros = Self.floats(zeros)
              unsafe job.groups = groups.baseAddress
              guard let drift else { return unsafe level.kernels.pointee.column_feedback(&job) }
              unsafe drift.withUnsafeBytes {
                unsafe job.drift = Self.floats($0)
                unsafe level.kernels.pointee.column_feedback(&job)
              }
            }
          }
        }
      }
    }
  }

  /// Codes of the last block, `[columns][rows]`, one byte each.
  public func withCodes<Result>(_ columns: Int, _ body: (RawSpan) throws -> Result) rethrows
    -> Result
  {
    try codes.withBytes { try body($0.part(0..<columns * rows)) }
  }

  /// Its errors divided by the factor's diagonal, f32 `[columns][rows]`.
  public func withErrors<Result>(_ columns: Int, _ body: (RawSpan) throws -> Result) rethrows
    -> Result
  {
    try errors.withBytes { try body($0.part(0..<columns * rows * 4)) }
  }

  /// Its columns as they were rounded, f32 `[columns][rows]`; only where it had a drift.
  public func withSeen<Result>(_ columns: Int, _ body: (RawSpan) throws -> Result) rethrows
    -> Result
  {
    try seen.withBytes { try body($0.part(0..<columns * rows * 4)) }
  }

  /// Σ errors² of all rows of the last block.
  public var loss: Double {
    sums.withBytes { sums in (0..<rows).reduce(0) { $0 + Double(sums.float32(at: $1)) } }
  }

  /// Σ (original − rounded)² of all rows of the last block.
  public var squares: Double {
    sums.withBytes { sums in (rows..<2 * rows).reduce(0) { $0 + Double(sums.float32(at: $1)) } }
  }

  private mutating func lend(to job: inout ck_feedback) {
    // SAFETY: the blocks do not move and outlive the call that the job is made for.
    unsafe job.codes = Self.address(&codes).assumingMemoryBound(to: UInt8.self)
    unsafe job.errors = Self.address(&errors).assumingMemoryBound(to: Float.self)
    unsafe job.seen = Self.address(&seen).assumingMemoryBound(to: Float.self)
    unsafe job.loss = Self.address(&sums).assumingMemoryBound(to: Float.self)
    unsafe job.squares = job.loss + rows
  }

  private static func address(_ block: inout AlignedBytes) -> UnsafeMutableRawPointer {
    // SAFETY: as above; the blocks are not empty.
    unsafe block.withMutableBytes(count: block.count) {
      unsafe $0.withUnsafeMutableBytes { $0.baseAddress! }
    }
  }

  private static func floats(_ bytes: UnsafeRawBufferPointer) -> UnsafePointer<Float>? {
    unsafe bytes.baseAddress?.assumingMemoryBound(to: Float.self)
  }
}
