import Kernels
import TensorCore

/// GPTQ's loop over the blocks of columns, for one panel of rows after the other. Rows know nothing of each
/// other, so a panel goes through all blocks by itself.
struct FeedbackRun {
  /// Rows of a panel, the same whatever the number of threads: a quarter of a narrow layer's, so that threads end
  /// together.
  private static func panel(_ rows: Int) -> Int {
    min(256, rows.dividedRoundingUp(by: 4 * 64) * 64)
  }

  private let settings: GPTQuantizer
  private let hessian: FactoredHessian
  private let size: Int
  private let blocks: [Range<Int>]
  private let bounds: ClipBounds?

  init(_ settings: GPTQuantizer, _ hessian: FactoredHessian, _ bounds: ClipBounds?) {
    (self.settings, self.hessian, self.bounds) = (settings, hessian, bounds)
    size = settings.grid.groupSize(columns: hessian.columns)
    // With compensated ranges a block ends where a group does.
    var (blocks, start) = ([Range<Int>](), 0)
    while start < hessian.columns {
      var end = min(start + settings.blockSize, hessian.columns)
      if settings.compensatesRanges { end = min(end, (start / size + 1) * size) }
      blocks.append(start..<end)
      start = end
    }
    self.blocks = blocks
  }

  func rows(
    _ weight: Matrix, _ name: String, threads: Int, on level: Processor.Level
  ) throws -> QuantizedRows {
    try QuantizedRows.collect(rows: weight.rows, size: Self.panel(weight.rows), threads: threads) {
      let panel = try ColumnPanel(weight, $0, name: name)
      return run(panel, RangeBounds(bounds, $0), on: level)
    }
  }

  private func run(
    _ panel: ColumnPanel, _ bounds: RangeBounds, on level: Processor.Level
  ) -> QuantizedRows {
    let groups = hessian.columns.dividedRoundingUp(by: size)
    let parameters = GroupParameters(groups: groups, rows: panel.rows)
    // As published: one range for a row is found before dead columns are cleared, those of groups after.
    if groups == 1 { findStored(parameters, panel, bounds, on: level) }
    panel.clear(hessian.dead)
    if groups > 1, settings.hasStaticGroups { findStored(parameters, panel, bounds, on: level) }
    if settings.order != .stored { panel.reorder(hessian.order.columns) }
    panel.keepOriginal()
    var result = QuantizedRows()
    result.weightSquares = panel.squares
    if settings.reportsOutputError {
      panel.lend(0..<panel.columns) {
        result.outputSquares = hessian.root.squaresOfProduct($0, rows: panel.rows)
      }
    }
    var block = FeedbackBlock(rows: panel.rows)
    for range in blocks {
      if groups > 1, !settings.hasStaticGroups { find(range, parameters, panel, bounds, on: level) }
      round(range, panel, parameters, &block, on: level)
      result.loss += block.loss
      result.squares += block.squares
      if range.upperBound < panel.columns { moveOn(range, panel, block) }
    }
    (result.scales, result.zeros) = (parameters.scales, parameters.zeros)
    result.codes = panel.codesByRow
    return result
  }

  /// Ranges of all groups as they are stored.
  private func findStored(
    _ parameters: GroupParameters, _ panel: ColumnPanel, _ bounds: RangeBounds,
    on level: Processor.Level
  ) {
    for group in 0..<parameters.groups {
      let part = group * size..<min((group + 1) * size, panel.columns)
      let importance = isWeighted ? Array(hessian.importance[part]) : nil
      panel.lend(part) {
        bounds.hold($0, group) {
          parameters.find(group, $0, importance: importance, by: settings.grid.rule, on: level)
        }
      }
    }
  }

  /// Ranges of the groups that begin in a block, as their weights are when it begins.
  private func find(
    _ block: Range<Int>, _ parameters: GroupParameters, _ panel: ColumnPanel,
    _ bounds: RangeBounds, on level: Processor.Level
  ) {
    for start in block where start % size == 0 {
      let part = start..<min(start + size, panel.columns)
      let importance =
        isWeighted
        ? hessian.order.columns[part].map { hessian.importance[$0] } : nil
      let group = Int(hessian.order.groups[start])
      panel.lend(part) {
        bounds.hold($0, group) {
          parameters.find(group, $0, importance: importance, by: settings.grid.rule, on: level)
        }
      }
    }
  }

  private var isWeighted: Bool { settings.grid.search?.isWeighted == true }

  private func round(
    _ range: Range<Int>, _ panel: ColumnPanel, _ parameters: GroupParameters,
    _ block: inout FeedbackBlock, on level: Processor.Level
  ) {
    let corner = (range.lowerBound * panel.columns + range.lowerBound) * 4
    let groups = Array(hessian.order.groups[range])
    panel.lend(range) { values in
      panel.lendOriginal(range) { original in
        parameters.lend { scales, zeros in
          hessian.factor.withBytes { factor in
            let factor = factor.part(corner..<factor.byteCount)
            guard let drift = hessian.drift else {
              return block.round(
                values, original: original, factor: factor, stride: panel.columns,
                scales: scales, zeros: zeros, groups: groups, top: settings.grid.top, on: level)
            }
            drift.withBytes {
              block.round(
                values, original: original, factor: factor,
                drift: $0.part(corner..<$0.byteCount), stride: panel.columns, scales: scales,
                zeros: zeros, groups: groups, top: settings.grid.top, on: level)
            }
          }
        }
      }
    }
    block.withCodes(range.count) { panel.setCodes(hessian.order.columns[range], $0) }
  }

  /// W[behind] −= Uᵀ[behind][block]·errors, and with a drift += Pᵀ·W[block] as it was rounded.
  private func moveOn(_ range: Range<Int>, _ panel: ColumnPanel, _ block: borrowing FeedbackBlock) {
    let start = (range.lowerBound * panel.columns + range.upperBound) * 4
    panel.change(range.upperBound..<panel.columns) { behind in
      block.withErrors(range.count) { errors in
        hessian.factor.withBytes {
          Columns.subtractProduct(
            $0.part(start..<$0.byteCount), stride: panel.columns, errors, depth: range.count,
            rows: panel.rows, from: &behind)
        }
      }
      guard let drift = hessian.drift else { return }
      block.withSeen(range.count) { seen in
        drift.withBytes {
          Columns.subtractProduct(
            $0.part(start..<$0.byteCount), stride: panel.columns, seen, depth: range.count,
            rows: panel.rows, adds: true, from: &behind)
        }
      }
    }
  }
}
