public import Kernels
public import TensorCore

/// Rounding with error feedback: columns are rounded one after the other, and what each one lost is made up
/// for by the columns still to come, as the inputs' second moments say.
///
/// Sources: Frantar et al., GPTQ, ICLR 2023, and `gptq.py` beside it; GPTQModel 7.7's `gptq.py`,
/// `quantizer.py` and `gar.py`, whose defaults and rules these are. Codes are kept as the loop found them.
public struct GPTQuantizer: Sendable, Equatable {
  /// In which order columns are rounded.
  public enum Order: String, Sendable, CaseIterable {
    /// As they are stored.
    case stored
    /// Those with the largest inputs first (`desc_act`). Without static groups a group is of columns
    /// rounded together, and the matrix has a map of columns to groups (`g_idx`).
    case descending
    /// Groups by their largest input, columns within a group by theirs (`act_group_aware`): groups stay
    /// runs of neighbours (Gafni et al., arXiv 2505.14638).
    case groupAware
  }

  public var grid: UniformGrid
  public var order = Order.groupAware
  /// Whether the ranges of all groups are found before any column is rounded.
  public var hasStaticGroups = false
  /// The part of its mean that is added to the Hessian's diagonal.
  public var dampPercent = 0.05
  /// By how much that part grows until the Hessian is positive; 0: not at all.
  public var dampAutoIncrement = 0.01
  /// What a Hessian is factored in; nil: f64 up to 2048 columns or where it was summed in f64, else f32,
  /// which takes less than half the time and the memory. A factor in f32 is off by some 1e-5, which decides
  /// a near tie now and then, and with it a row's later codes.
  public var factorPrecision: SquareMatrix.Precision?
  /// Columns after which errors are moved on to the columns behind the block, at most 128.
  public var blockSize = 128
  /// Whether a group's range is found from weights that hold all errors up to it. As published it is found
  /// from weights without the errors made since its block of 128 began.
  public var compensatesRanges = false
  /// α of GPTAQ (arXiv 2504.02692), 0.25 as published: how far the layer answers for the inputs' drift from
  /// those of the unquantized model. Needs a Hessian with a drift; nil: not at all.
  public var asymmetry: Float?
  /// Whether ‖(W−Q)·X‖ / ‖W·X‖ is reported, which costs one more product of weights and a triangle.
  public var reportsOutputError = true
  /// Whether a Hessian that damping cannot make positive is an error; otherwise the layer is rounded to
  /// nearest, and the report says so.
  public var isStrict = false

  public init(_ grid: UniformGrid = UniformGrid()) {
    self.grid = grid
  }

  /// Orders, damps and factors a Hessian: once for all linear layers that share it, in memory of `store` where there
  /// is one. O(columns³).
  ///
  /// Throws `usage` for settings that make no sense, with `isStrict` `cannotRepresent` where the
  /// Hessian stays not positive.
  public func factor(
    _ hessian: Hessian, name: String, threads: Int = Processor.cores, in store: MatrixStore? = nil
  ) throws(Failure) -> FactoredHessian {
    try check(hessian, name: name)
    let factored = FactoredHessian(hessian, for: self, threads: threads, in: store)
    if isStrict, let reason = factored.failure {
      throw Failure(.cannotRepresent, at: name, reason, remedy: "more or other calibration text")
    }
    return factored
  }

  /// Rounds a weight with a Hessian that these settings factored. O(rows·columns²), in parallel.
  ///
  /// `bounds` say how far each group's range may reach, as a clip search found it; what lies beyond is an error to
  /// make up for like any other. Throws `usage` where shapes differ, `cannotRepresent` where a weight is not
  /// finite or a scale too large for its type.
  public func quantize(
    _ weight: Matrix, _ hessian: FactoredHessian, within bounds: ClipBounds? = nil, name: String,
    threads: Int = Processor.cores, on level: Processor.Level = .best
  ) throws -> QuantizedLayer {
    let start = ContinuousClock.now
    guard weight.columns == hessian.columns, weight.rows > 0, hessian.settings == self else {
      throw Failure(
        .usage, at: name, "the Hessian is not this layer's, or was factored for other settings",
        expected: "\(hessian.columns) columns", found: "\(weight.rows) × \(weight.columns)")
    }
    if let bounds { try check(bounds, weight, name) }
    var reason = hessian.failure
    if reason == nil {
      let rows = try FeedbackRun(self, hessian, bounds).rows(
        weight, name, threads: threads, on: level)
      if rows.loss.isFinite {
        return try layer(rows, weight, hessian, name, seconds: start.secondsSince)
      }
      reason = "errors grew beyond all numbers"
      if isStrict { throw Failure(.cannotRepresent, at: name, "errors grew beyond all numbers") }
    }
    return try fallback(weight, hessian, name, reason, threads: threads, on: level)
  }

  /// Both at once, for a layer that shares its inputs with no other.
  public func quantize(
    _ weight: Matrix, _ hessian: Hessian, name: String, threads: Int = Processor.cores
  ) throws -> QuantizedLayer {
    let start = ContinuousClock.now
    let factored = try factor(hessian, name: name, threads: threads)
    var layer = try quantize(weight, factored, name: name, threads: threads)
    layer.report.seconds = start.secondsSince
    return layer
  }

  private func layer(
    _ rows: QuantizedRows, _ weight: Matrix, _ hessian: FactoredHessian, _ name: String,
    seconds: Double
  ) throws(Failure) -> QuantizedLayer {
    let form = grid.form(
      rows: weight.rows, columns: weight.columns, grouping: hessian.grouping)
    var report = QuantizationReport(weightError: rows.weightError)
    report.loss = rows.loss
    // The damping's own part is left out of both norms.
    let lost = rows.loss - hessian.added * rows.squares
    let had = rows.outputSquares - hessian.added * rows.weightSquares
    if reportsOutputError {
      report.outputError = had > 0 ? (max(0, lost) / had).squareRoot() : 0
    }
    (report.damp, report.diagonalFloor) = (hessian.damp, hessian.floor)
    (report.deadColumns, report.tokens) = (hessian.dead.count, hessian.tokens)
    report.seconds = seconds
    return QuantizedLayer(
      matrix: try rows.matrix(form, lift: grid.lift, name: name), report: report)
  }

  private func fallback(
    _ weight: Matrix, _ hessian: FactoredHessian, _ name: String, _ reason: String?,
    threads: Int, on level: Processor.Level
  ) throws -> QuantizedLayer {
    var layer = try RTN(grid).quantize(
      weight, importance: hessian.importance, name: name, threads: threads, on: level)
    layer.report.fallback = reason
    layer.report.tokens = hessian.tokens
    return layer
  }

  private func check(
    _ bounds: ClipBounds, _ weight: Matrix, _ name: String
  ) throws(Failure) {
    let size = grid.groupSize(columns: weight.columns)
    guard bounds.rows == weight.rows, bounds.size == size,
      bounds.groups == weight.columns.dividedRoundingUp(by: size),
      order != .descending || hasStaticGroups || bounds.groups == 1
    else {
      throw Failure(
        .usage, at: name, "bounds of ranges are for groups of neighbours of this layer's size",
        expected: "\(weight.rows) rows, groups of \(size)",
        found: "\(bounds.rows) rows, groups of \(bounds.size), \(order.rawValue) order")
    }
  }

  private func check(_ hessian: Hessian, name: String) throws(Failure) {
    try grid.check()
    guard dampPercent > 0, dampPercent < 1, dampAutoIncrement >= 0, dampAutoIncrement < 1 else {
      throw Failure(
        .usage, at: "damping", "no such part of the diagonal's mean",
        expected: "more than 0, below 1",
        found: "\(dampPercent), growing by \(dampAutoIncrement)")
    }
    guard (1...FeedbackBlock.maxColumns).contains(blockSize) else {
      throw Failure(
        .usage, at: "block size", "no such block", expected: "1 to \(FeedbackBlock.maxColumns)",
        found: "\(blockSize)")
    }
    guard asymmetry == nil || hessian.drift != nil else {
      throw Failure(
        .usage, at: name, "asymmetric calibration needs the unquantized model's inputs as well")
    }
  }
}
