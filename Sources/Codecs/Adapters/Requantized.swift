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
    try withRounded(region, workspace) { wide, values in
      for row in 0..<region.rows.count {
        for column in region.columns {
          let from = row * wide.columns.count + column - wide.columns.lowerBound
          let at = column - region.columns.lowerBound
          let to =
            order == .outputMajor
            ? row * region.columns.count + at : at * region.rows.count + row
          codes.set(values.codes[from], at: to)
        }
      }
    }
  }

  public func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try withParameters(region, order, workspace) { values in
      try FloatConversion.fromFloat32(form.scaleType, values.scales.rawSpan, into: &scales)
    }
  }

  public func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try withParameters(region, order, workspace) { values in
      for (index, zero) in values.zeros.enumerated() { offsets.set(zero, at: index) }
    }
  }

  private struct Rounded {
    /// `[rows][columns]`
    var codes: [UInt8]
    /// `[rows][groups]`, or as a region of parameters asks for.
    var scales: [Float]
    var zeros: [UInt16]
  }

  /// Rounds the whole groups that cover `region`; `body` gets the region they fill.
  private func withRounded(
    _ region: Region, _ workspace: Workspace, _ body: (Region, Rounded) throws -> Void
  ) throws {
    guard case .columns(let size) = form.grouping else { return }
    let first = region.columns.lowerBound / size * size
    let end = min(region.columns.upperBound.dividedRoundingUp(by: size) * size, form.columns)
    let wide = Region(rows: region.rows, columns: first..<end)
    let weights = try readBase(wide, workspace)
    let runs = (0..<wide.rows.count).flatMap { row in
      stride(from: 0, to: wide.columns.count, by: size).map { start in
        let begin = row * wide.columns.count + start
        return begin..<begin + min(size, wide.columns.count - start)
      }
    }
    let ranges = try runs.map { try range(of: weights[$0]) }
    let scales = try stored(ranges.map { ($0.high - $0.low) / highest })
    var rounded = Rounded(codes: [], scales: scales, zeros: [])
    rounded.codes.reserveCapacity(wide.count)
    for (group, run) in runs.enumerated() {
      let zero = zero(low: ranges[group].low, scale: scales[group])
      rounded.zeros.append(UInt16(zero))
      for weight in weights[run] {
        let code = (weight / scales[group]).rounded(.toNearestOrEven) + zero
        rounded.codes.append(UInt8(min(max(code, 0), highest)))
      }
    }
    try body(wide, rounded)
  }

  /// The highest code.
  private var highest: Float { Float(1 << form.grid.bits - 1) }

  private func zero(low: Float, scale: Float) -> Float {
    guard !symmetric else { return Float(1 << (form.grid.bits - 1)) }
    return min(max((-low / scale).rounded(.toNearestOrEven), Float(lowestZero)), highest)
  }

  /// The range of a group, widened to hold 0; -1...1 where all weights are 0.
  private func range(of weights: ArraySlice<Float>) throws -> (low: Float, high: Float) {
    var (low, high): (Float, Float) = (0, 0)
    for weight in weights {
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

  /// Weights of a region whose columns need not begin where the base can be read from.
  private func readBase(_ region: Region, _ workspace: Workspace) throws -> [Float] {
    let readable = readable(region.columns)
    let wide = Region(rows: region.rows, columns: readable)
    return try workspace.lend(wide.count * 4) { bytes in
      try base.readWeights(wide, into: &bytes, workspace)
      var weights: [Float] = []
      weights.reserveCapacity(region.count)
      for row in 0..<region.rows.count {
        for column in region.columns {
          let index = row * readable.count + column - readable.lowerBound
          weights.append(bytes.bytes.float32(at: index))
        }
      }
      return weights
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

  private func withParameters(
    _ region: Region, _ order: Order, _ workspace: Workspace, _ body: (Rounded) throws -> Void
  ) throws {
    guard case .columns(let size) = form.grouping else { return }
    let columns =
      region.columns.lowerBound * size..<min(region.columns.upperBound * size, form.columns)
    try withRounded(Region(rows: region.rows, columns: columns), workspace) { _, values in
      guard order == .inputMajor else { return try body(values) }
      var turned = values
      let groups = region.columns.count
      for row in 0..<region.rows.count {
        for group in 0..<groups {
          turned.scales[group * region.rows.count + row] = values.scales[row * groups + group]
          turned.zeros[group * region.rows.count + row] = values.zeros[row * groups + group]
        }
      }
      try body(turned)
    }
  }
}
