public import Kernels
public import TensorCore

/// Whole zero points as terms that are added, and back (`Formats/awq_gemv_fast.md`, FAST-4 and
/// FAST-6): m = −(s·z), rounded once to the type of the scales.
enum AddedTerms {
  /// What became of the groups of a layer.
  struct Survey: Sendable, Equatable {
    var groups = 0
    /// Groups whose m is not −s·z exactly.
    var rounded = 0
    /// Groups whose m is not even −s·z rounded: no whole zero point made it.
    var unexplained = 0
    /// Groups without a zero point in the range of the codes, or without a finite term.
    var homeless = 0
    /// The largest |m + s·z|, by which weights move.
    var largestDifference = 0.0
  }

  /// −(s·z) in `type` for each scale and zero point, both f32, which a product of at most 16
  /// significant bits leaves exact; only the conversion rounds.
  static func round(
    scales: RawSpan, zeros: RawSpan, to type: DType, into terms: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws {
    let count = scales.byteCount / 4
    try workspace.lend(count * 4) { products in
      for index in 0..<count {
        let product = -(scales.float32(at: index) * zeros.float32(at: index))
        products.set(product.bitPattern, at: index)
      }
      try FloatConversion.fromFloat32(type, products.bytes, into: &terms)
    }
  }

  /// The nearest whole −m/s; the middle of the codes where scale and term are zero, as any zero
  /// point says the same there. Not a number where there is none.
  static func zero(scale: Float, term: Float, bits: Int) -> Float {
    if scale == 0 && term == 0 { return Float(1 << (bits - 1)) }
    return (-term / scale).rounded(.toNearestOrEven)
  }

  /// Counts over equally long runs of f32 scales, terms and zero points.
  static func survey(
    scales: RawSpan, terms: RawSpan, zeros: RawSpan, type: DType, bits: Int,
    _ workspace: Workspace
  ) throws -> Survey {
    let count = scales.byteCount / 4
    var survey = Survey(groups: count)
    try workspace.lend(count * type.bits / 8) { stored in
      try round(scales: scales, zeros: zeros, to: type, into: &stored, workspace)
      try workspace.lend(count * 4) { rounded in
        try FloatConversion.toFloat32(type, stored.bytes, into: &rounded)
        for index in 0..<count {
          let zero = zeros.float32(at: index)
          let term = terms.float32(at: index)
          let limit = Float(1 << bits) - 1
          guard zero >= 0 && zero <= limit && term.isFinite else {
            survey.homeless += 1
            continue
          }
          let difference = (Double(term) + Double(scales.float32(at: index)) * Double(zero))
            .magnitude
          survey.rounded += difference == 0 ? 0 : 1
          survey.unexplained += rounded.bytes.float32(at: index) == term ? 0 : 1
          survey.largestDifference = max(survey.largestDifference, difference)
        }
      }
    }
    return survey
  }
}

extension AddedTerms.Survey {
  mutating func add(_ other: AddedTerms.Survey) {
    groups += other.groups
    rounded += other.rounded
    unexplained += other.unexplained
    homeless += other.homeless
    largestDifference = max(largestDifference, other.largestDifference)
  }
}

extension PackedLayer {
  /// −(s·z) of whole zero points, `[row][group]`, rounded once to `type`; z is 0 where the layer
  /// has no offsets. Throws `io`.
  public func readTerms(
    _ region: Region, as type: DType, into terms: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try workspace.lend(region.count * 4) { scales in
      try readFloatScales(region, .outputMajor, into: &scales, workspace)
      try workspace.lend(region.count * 4) { zeros in
        if form.offset == .none {
          for index in 0..<region.count { zeros.set(UInt32(0), at: index) }
        }
        try readFloatOffsets(region, .outputMajor, into: &zeros, workspace)
        try AddedTerms.round(
          scales: scales.bytes, zeros: zeros.bytes, to: type, into: &terms, workspace)
      }
    }
  }

  /// Calls `body` with the f32 scales and offsets of bands of whole groups, input-major.
  func forEachParameterBand(
    _ workspace: Workspace, _ body: (_ scales: RawSpan, _ offsets: RawSpan) throws -> Void
  ) throws {
    let step = max(1, (1 << 17) / max(form.rows, 1))
    for start in stride(from: 0, to: form.groups, by: step) {
      let region = Region(rows: 0..<form.rows, columns: start..<min(start + step, form.groups))
      try workspace.lend(region.count * 4) { scales in
        try readFloatScales(region, .inputMajor, into: &scales, workspace)
        try workspace.lend(region.count * 4) { offsets in
          try readFloatOffsets(region, .inputMajor, into: &offsets, workspace)
          try body(scales.bytes, offsets.bytes)
        }
      }
    }
  }
}
