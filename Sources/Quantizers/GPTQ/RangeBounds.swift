import TensorCore

/// How far the ranges of some rows may reach, group by group; the weights themselves stay as they are.
struct RangeBounds {
  private let bounds: ClipBounds?
  private let rows: Range<Int>

  init(_ bounds: ClipBounds?, _ rows: Range<Int>) { (self.bounds, self.rows) = (bounds, rows) }

  /// Lends the columns of a group, f32 `[columns][rows]`, held within the bounds.
  func hold(_ values: RawSpan, _ group: Int, _ body: (RawSpan) -> Void) {
    guard let bounds else { return body(values) }
    let own = rows.map { bounds.values[$0 * bounds.groups + group] }
    let held = (0..<values.byteCount / 4).map { index in
      let bound = own[index % own.count]
      return min(max(values.float32(at: index), -bound), bound)
    }
    body(held.rawSpan)
  }
}
