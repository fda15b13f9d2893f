public import Kernels
internal import TensorCore

/// A layer whose added terms are read as whole zero points: z = −m/s, rounded.
///
/// Codes and scales stay as they are. What a weight changes by is the rounding of s·z that the
/// terms were stored with, and is stated in `loss`.
public struct RecoveredZeros: LayerAdapter {
  /// How the weights of a recovered layer differ from those its terms gave.
  public struct Loss: Sendable, Equatable {
    public let groups: Int
    /// Groups whose term is not −s·z exactly; the others don't change at all.
    public let roundedGroups: Int
    /// Whether every term is −s·z, rounded to its type: the terms hold nothing but zero points.
    public let isComplete: Bool
    /// The largest |m + s·z|.
    public let largestDifference: Double
  }

  public let base: any PackedLayer
  public let form: QuantizedForm
  public let loss: Loss

  /// Reads all scales and terms, 2/group_size of the numbers.
  ///
  /// Throws `cannotRepresent` where the layer has no added terms, or one of them leads to no zero
  /// point in the range of the codes; `io`.
  public init(_ base: any PackedLayer, _ workspace: Workspace) throws {
    guard case .added(let type) = base.form.offset, case .affine(let bits) = base.form.grid else {
      throw Failure(
        .cannotRepresent, at: base.name, "there are no added terms to recover zero points from",
        rule: "FAST-6")
    }
    self.base = base
    var form = base.form
    form.offset = .integer
    self.form = form
    let survey = try Self.survey(base, type, bits: bits, workspace)
    guard survey.homeless == 0 else {
      throw Failure(
        .cannotRepresent, at: base.name, "added terms that lead to no whole zero point",
        expected: "−m/s in 0...\((1 << bits) - 1) for every group",
        found: "\(survey.homeless) of \(survey.groups) groups outside", rule: "FAST-6")
    }
    loss = Loss(
      groups: survey.groups, roundedGroups: survey.rounded, isComplete: survey.unexplained == 0,
      largestDifference: survey.largestDifference)
  }

  private static func survey(
    _ layer: any PackedLayer, _ type: DType, bits: Int, _ workspace: Workspace
  ) throws -> AddedTerms.Survey {
    var survey = AddedTerms.Survey()
    try layer.forEachParameterBand(workspace) { scales, terms in
      try workspace.lend(scales.byteCount) { zeros in
        for index in 0..<scales.byteCount / 4 {
          let zero = AddedTerms.zero(
            scale: scales.float32(at: index), term: terms.float32(at: index), bits: bits)
          zeros.set(zero.bitPattern, at: index)
        }
        survey.add(
          try AddedTerms.survey(
            scales: scales, terms: terms, zeros: zeros.bytes, type: type, bits: bits, workspace))
      }
    }
    return survey
  }

  public func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let bits = form.grid.bits
    try workspace.lend(region.count * 4) { scales in
      try base.readFloatScales(region, order, into: &scales, workspace)
      try workspace.lend(region.count * 4) { terms in
        try base.readFloatOffsets(region, order, into: &terms, workspace)
        for index in 0..<region.count {
          let zero = AddedTerms.zero(
            scale: scales.bytes.float32(at: index), term: terms.bytes.float32(at: index),
            bits: bits)
          guard let whole = UInt16(exactly: zero) else {
            throw Failure(.io, at: name, "the terms changed while they were read")
          }
          offsets.set(whole, at: index)
        }
      }
    }
  }
}
