import Kernels
import TensorCore

/// Scales and zero points of a panel of rows, f32 `[groups][rows]` each.
final class GroupParameters {
  let groups: Int
  let rows: Int
  private var scaleBytes: AlignedBytes
  private var zeroBytes: AlignedBytes

  init(groups: Int, rows: Int) {
    (self.groups, self.rows) = (groups, rows)
    scaleBytes = AlignedBytes(count: groups * rows * 4)
    zeroBytes = AlignedBytes(count: groups * rows * 4)
  }

  /// Finds those of one group from its columns, f32 `[columns][rows]`.
  func find(
    _ group: Int, _ values: RawSpan, importance: [Float]?, by rule: RangeRule,
    on level: Processor.Level
  ) {
    let columns = values.byteCount / 4 / rows
    change(group) { scale, zero in
      if let importance {
        Columns.ranges(
          values, columns: columns, rows: rows, importance: importance.rawSpan, by: rule,
          scales: &scale, zeros: &zero, on: level)
      } else {
        Columns.ranges(
          values, columns: columns, rows: rows, by: rule, scales: &scale, zeros: &zero, on: level)
      }
    }
  }

  /// Lends the scales and zero points of all groups, or of one.
  func lend(_ group: Int? = nil, _ body: (_ scales: RawSpan, _ zeros: RawSpan) -> Void) {
    let part = group.map(place) ?? 0..<groups * rows * 4
    scaleBytes.withBytes { scales in
      zeroBytes.withBytes { zeros in body(scales.part(part), zeros.part(part)) }
    }
  }

  /// Scales as a matrix holds them, `[rows][groups]`.
  var scales: [Float] {
    scaleBytes.withBytes { bytes in byRow.map { bytes.float32(at: $0) } }
  }

  /// Zero points, `[rows][groups]`.
  var zeros: [UInt16] {
    zeroBytes.withBytes { bytes in byRow.map { UInt16(bytes.float32(at: $0)) } }
  }

  /// Where each row's groups lie.
  private var byRow: [Int] {
    (0..<rows * groups).map { $0 % groups * rows + $0 / groups }
  }

  private func change(
    _ group: Int, _ body: (inout MutableRawSpan, inout MutableRawSpan) -> Void
  ) {
    let (part, count) = (place(group), groups * rows * 4)
    scaleBytes.withMutableBytes(count: count) { scales in
      zeroBytes.withMutableBytes(count: count) { zeros in
        var scale = scales.part(part)
        var zero = zeros.part(part)
        body(&scale, &zero)
      }
    }
  }

  private func place(_ group: Int) -> Range<Int> {
    group * rows * 4..<(group + 1) * rows * 4
  }
}
