public import Kernels
public import TensorCore

/// A layer rounded anew to other groups, bits or zero points: never exact, and only on request.
///
/// Plain round-to-nearest over the range of each group, as the GPTQ quantizer sets it (range widened
/// to hold 0, `s = (max − min)/(2^bits − 1)`, whole zero point); scales are rounded to `scaleType`
/// before codes are, so that the codes fit the scales that are stored. Deterministic.
public struct Requantized: PackedLayer {
  private let base: any PackedLayer
  public let form: QuantizedForm
  private let symmetric: Bool
  private let lowestZero: Int

  /// `lowestZero` is 1 for layouts that can't store a zero point of 0.
  public init(
    _ base: any PackedLayer, bits: Int, groupSize: Int, scaleType: DType, symmetric: Bool,
    lowestZero: Int = 0
  ) {
    self.base = base
    self.symmetric = symmetric
    self.lowestZero = lowestZero
    form = QuantizedForm(
      rows: base.form.rows, columns: base.form.columns, grid: .affine(bits: bits),
      grouping: .columns(size: groupSize), scaleType: scaleType, offset: .integer)
  }

  public var claim: LayerClaim { base.claim }
  public var order: Order { base.order }
  public var isScattered: Bool { base.isScattered }

  public func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let (height, width) = (region.rows.count, region.columns.count)
    try forEachStrip(of: region.rows, groups(of: region.columns), workspace) { strip, rounded in
      let columns = strip.columns.clamped(to: region.columns)
      let (rows, count, length) = (strip.rows.count, columns.count, strip.columns.count)
      let first = columns.lowerBound - strip.columns.lowerBound
      let top = strip.rows.lowerBound - region.rows.lowerBound
      let left = columns.lowerBound - region.columns.lowerBound
      let source = rounded.part(first..<(rows - 1) * length + first + count)
      guard order == .outputMajor else {
        let start = left * height + top
        var target = codes.part(start..<start + (count - 1) * height + rows)
        return Transpose.bytes(
          source, rows: rows, columns: count, stride: length, spacing: height, into: &target)
      }
      for row in 0..<rows {
        let start = (top + row) * width + left
        var target = codes.part(start..<start + count)
        target.copy(from: source.part(row * length..<row * length + count))
      }
    }
  }

  public func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try workspace.lend(region.count * 4) { floats in
      try forEachParameter(of: region, order, workspace) { place, scale, _ in
        floats.set(scale.bitPattern, at: place)
      }
      try FloatConversion.fromFloat32(form.scaleType, floats.bytes, into: &scales)
    }
  }

  public func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try forEachParameter(of: region, order, workspace) { place, _, zero in
      offsets.set(zero, at: place)
    }
  }

  /// Calls `body` with each scale and zero point, and its place in a region of rows × groups.
  private func forEachParameter(
    of region: Region, _ order: Order, _ workspace: Workspace,
    _ body: (_ place: Int, _ scale: Float, _ zero: UInt16) -> Void
  ) throws {
    let (height, width) = (region.rows.count, region.columns.count)
    try forEachStrip(of: region.rows, region.columns, workspace) { strip, _ in
      var index = 0
      for row in strip.rows {
        for group in strip.groups {
          let (down, across) = (row - region.rows.lowerBound, group - region.columns.lowerBound)
          let place = order == .inputMajor ? across * height + down : down * width + across
          body(place, strip.scales[index], strip.zeros[index])
          index += 1
        }
      }
    }
  }

  /// Some rows of some whole groups, and their scales and zero points, `[row][group]`.
  private struct Strip {
    let rows: Range<Int>
    let groups: Range<Int>
    let columns: Range<Int>
    var scales: [Float] = []
    var zeros: [UInt16] = []
  }

  /// Weights that are rounded at a time.
  private static let stripWeights = 1 << 19

  private var groupSize: Int {
    if case .columns(let size) = form.grouping { size } else { form.columns }
  }

  private func groups(of columns: Range<Int>) -> Range<Int> {
    columns.lowerBound / groupSize..<columns.upperBound.dividedRoundingUp(by: groupSize)
  }

  /// Rounds rows of groups in strips along the order in which the base lies: `codes` are `[row][column]`.
  private func forEachStrip(
    of rows: Range<Int>, _ groups: Range<Int>, _ workspace: Workspace,
    _ body: (_ strip: Strip, _ codes: RawSpan) throws -> Void
  ) throws {
    guard !rows.isEmpty, !groups.isEmpty else { return }
    let across =
      order == .inputMajor ? max(Self.stripWeights / (rows.count * groupSize), 1) : groups.count
    for first in stride(from: groups.lowerBound, to: groups.upperBound, by: across) {
      let part = first..<min(first + across, groups.upperBound)
      let columns = first * groupSize..<min(part.upperBound * groupSize, form.columns)
      let step = Region.aligned(Self.stripWeights / max(readable(columns).count, 1))
      for start in stride(from: rows.lowerBound, to: rows.upperBound, by: step) {
        let rows = start..<min(start + step, rows.upperBound)
        try round(Strip(rows: rows, groups: part, columns: columns), workspace, body)
      }
    }
  }

  private func round(
    _ strip: Strip, _ workspace: Workspace,
    _ body: (_ strip: Strip, _ codes: RawSpan) throws -> Void
  ) throws {
    let span = readable(strip.columns)
    try workspace.lend(strip.rows.count * span.count * 4) { weights in
      try base.readWeights(Region(rows: strip.rows, columns: span), into: &weights, workspace)
      let begin = strip.columns.lowerBound - span.lowerBound
      let width = strip.columns.count
      // Where the weights of each group begin and end.
      let runs = strip.rows.indices.flatMap { row in
        stride(from: 0, to: width, by: groupSize).map { start in
          let from = (row - strip.rows.lowerBound) * span.count + begin + start
          return from..<from + min(groupSize, width - start)
        }
      }
      let ranges = try runs.map { try range(of: weights.bytes, $0) }
      var strip = strip
      strip.scales = try stored(ranges.map { ($0.high - $0.low) / highest })
      strip.zeros = ranges.indices.map {
        UInt16(zero(low: ranges[$0].low, scale: strip.scales[$0]))
      }
      try workspace.lend(strip.rows.count * width) { codes in
        var place = 0
        for (group, run) in runs.enumerated() {
          let (scale, zero) = (strip.scales[group], Float(strip.zeros[group]))
          for index in run {
            let code = (weights.bytes.float32(at: index) / scale).rounded(.toNearestOrEven) + zero
            codes.set(UInt8(min(max(code, 0), highest)), at: place)
            place += 1
          }
        }
        try body(strip, codes.bytes)
      }
    }
  }

  /// The highest code.
  private var highest: Float { Float(1 << form.grid.bits - 1) }

  private func zero(low: Float, scale: Float) -> Float {
    guard !symmetric else { return Float(1 << (form.grid.bits - 1)) }
    return min(max((-low / scale).rounded(.toNearestOrEven), Float(lowestZero)), highest)
  }

  /// The range of a group, widened to hold 0; -1...1 where all weights are 0.
  private func range(of weights: RawSpan, _ run: Range<Int>) throws -> (low: Float, high: Float) {
    var (low, high): (Float, Float) = (0, 0)
    for index in run {
      let weight = weights.float32(at: index)
      guard weight.isFinite else {
        throw Failure(.cannotRepresent, at: name, "a weight is not finite")
      }
      low = min(low, weight)
      high = max(high, weight)
    }
    if symmetric { (low, high) = (-max(-low, high), max(-low, high)) }
    return low == high ? (-1, 1) : (low, high)
  }

  /// Scales as the layout will store them. Throws `cannotRepresent` where one becomes 0 or infinite.
  private func stored(_ scales: [Float]) throws -> [Float] {
    var narrow = AlignedBytes(count: scales.count * form.scaleType.bits / 8)
    var wide = AlignedBytes(count: scales.count * 4)
    var target = narrow.mutableBytes
    try FloatConversion.fromFloat32(form.scaleType, scales.rawSpan, into: &target)
    var floats = wide.mutableBytes
    try FloatConversion.toFloat32(form.scaleType, narrow.bytes, into: &floats)
    return try scales.indices.map { index in
      let value = wide.bytes.float32(at: index)
      guard value > 0 && value.isFinite else {
        throw Failure(
          .cannotRepresent, at: name, "a scale leaves the range of \(form.scaleType)",
          found: "\(scales[index])")
      }
      return value
    }
  }

  /// The columns of the base that cover `columns` and begin on words and on groups of its own.
  private func readable(_ columns: Range<Int>) -> Range<Int> {
    var step = Region.alignment
    if case .columns(let size) = base.form.grouping, size < form.columns {
      while step % size != 0 && step < form.columns { step += Region.alignment }
    } else if !base.form.grouping.isPermuted {
      step = form.columns
    }
    let end = min(columns.upperBound.dividedRoundingUp(by: step) * step, form.columns)
    return columns.lowerBound / step * step..<end
  }
}
