public import Kernels
internal import TensorCore

/// Rounding to nearest: every group's range is found, and each weight takes the code nearest to it. The
/// baseline that error feedback is measured against.
///
/// With a weighted range search, errors count as much as their inputs do (`imatrix`): llm-compressor's
/// `imatrix_mse` and llama.cpp's importance matrix weigh by the mean of x² in the same way.
public struct RTN: Sendable, Equatable {
  /// Rows of one task.
  static let panel = 64

  public var grid: UniformGrid

  public init(_ grid: UniformGrid = UniformGrid()) {
    self.grid = grid
  }

  /// Rounds a weight. `importance` is the mean x² of each column (input), at least 0, up to a factor;
  /// only a weighted search needs it. O(weights), times the steps of a search; in parallel.
  ///
  /// Throws `usage` for settings that make no sense, `cannotRepresent` where a weight is not finite or a
  /// scale too large for its type.
  public func quantize(
    _ weight: Matrix, importance: [Float]? = nil, name: String, threads: Int = Processor.cores,
    on level: Processor.Level = .best
  ) throws -> QuantizedLayer {
    let clock = ContinuousClock.now
    try check(weight, importance, name: name)
    let size = grid.groupSize(columns: weight.columns)
    let weights = grid.search?.isWeighted == true ? importance : nil
    let rows = try QuantizedRows.collect(rows: weight.rows, size: Self.panel, threads: threads) {
      try round(ColumnPanel(weight, $0, name: name), size, weights, on: level)
    }
    let form = grid.form(
      rows: weight.rows, columns: weight.columns, grouping: .columns(size: size))
    var report = QuantizationReport(weightError: rows.weightError)
    let matrix = try rows.matrix(form, lift: grid.lift, name: name)
    report.seconds = clock.secondsSince
    return QuantizedLayer(matrix: matrix, report: report)
  }

  private func check(_ weight: Matrix, _ importance: [Float]?, name: String) throws(Failure) {
    try grid.check()
    guard weight.rows > 0, weight.columns > 0 else {
      throw Failure(.usage, at: name, "has no weights")
    }
    guard grid.search?.isWeighted == true else { return }
    guard let importance, importance.count == weight.columns,
      importance.allSatisfy({ $0 >= 0 && $0.isFinite })
    else {
      throw Failure(
        .usage, at: name, "a weighted range search needs how much each input counts",
        expected: "\(weight.columns) finite numbers of at least 0",
        found: importance.map { "\($0.count) numbers" } ?? "none")
    }
  }

  private func round(
    _ panel: ColumnPanel, _ size: Int, _ importance: [Float]?, on level: Processor.Level
  ) -> QuantizedRows {
    let groups = panel.columns.dividedRoundingUp(by: size)
    let parameters = GroupParameters(groups: groups, rows: panel.rows)
    var result = QuantizedRows()
    result.weightSquares = panel.squares
    for group in 0..<groups {
      let part = group * size..<min((group + 1) * size, panel.columns)
      panel.lend(part) {
        parameters.find(
          group, $0, importance: importance.map { Array($0[part]) }, by: grid.rule, on: level)
      }
      result.squares += panel.round(part, parameters, group, top: grid.top, on: level)
    }
    (result.scales, result.zeros) = (parameters.scales, parameters.zeros)
    result.codes = panel.codesByRow
    return result
  }
}

extension ColumnPanel {
  /// Codes of columns of one group; returns Σ (w − q)².
  func round(
    _ part: Range<Int>, _ parameters: GroupParameters, _ group: Int, top: Int,
    on level: Processor.Level
  ) -> Double {
    var squares = AlignedBytes(count: rows * 4)
    var target = squares.mutableBytes
    roundColumns(part) { values, codes in
      parameters.lend(group) { scales, zeros in
        Columns.codes(
          values, columns: part.count, rows: rows, scales: scales, zeros: zeros, top: top,
          into: &codes, squares: &target, on: level)
      }
    }
    let bytes = squares.bytes
    return (0..<rows).reduce(0) { $0 + Double(bytes.float32(at: $1)) }
  }
}

extension ContinuousClock.Instant {
  /// Seconds from this instant to now.
  var secondsSince: Double {
    let passed = duration(to: .now).components
    return Double(passed.seconds) + Double(passed.attoseconds) * 1e-18
  }
}
