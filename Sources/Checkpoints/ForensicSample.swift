internal import Codecs
internal import Kernels
internal import TensorCore

/// Which layers are looked at, and how much of each.
struct ForensicSample: Sendable {
  /// Bytes a glance may read.
  static let glanceBytes = 1 << 20
  private static let glanceLayers = 16
  private static let layersWithCodes = 32

  private struct Choice: Sendable {
    let claim: LayerClaim
    let groups: Int
    var codes = false
  }

  let checkpoint: Checkpoint
  let claims: [LayerClaim]
  let depth: ZeroForensics.Depth

  func examine(threads: Int) throws -> [LayerForensics] {
    let choices = depth == .glance ? glance : thorough
    let found = Gathered<LayerForensics?>(count: choices.count)
    try parallelBands(choices.count, threads: threads) { index, workspace in
      let choice = choices[index]
      do {
        found.set(
          try LayerForensics(
            choice.claim, in: checkpoint, groups: choice.groups, codes: choice.codes, workspace),
          at: index)
      } catch let failure as Failure where failure.kind == .malformed {
        // A layer that can't be opened is spoken of elsewhere.
      }
    }
    return found.values.compactMap(\.self)
  }

  /// Positions of `count` of `all` things, spread evenly.
  private static func spread(_ count: Int, of all: Int) -> [Int] {
    let taken = min(count, all)
    return (0..<taken).map { all * $0 / taken }
  }

  /// Both readings open the layer, so its group index is read twice, and its fields too.
  private var glance: [Choice] {
    var left = Self.glanceBytes / 2
    let positions = Self.spread(Self.glanceLayers, of: claims.count)
    return positions.enumerated().compactMap { order, position in
      let claim = claims[position]
      let share = left / (positions.count - order)
      let index = claim.parts["g_idx"]?.byteCount ?? 0
      let rowBytes = max(1, claim.rows * claim.bits / 8)
      let groups = min(claim.groups, (share - index) / rowBytes)
      guard groups > 0 else { return nil }
      left -= index + groups * rowBytes
      return Choice(claim: claim, groups: groups)
    }
  }

  private var thorough: [Choice] {
    let withCodes = Set(Self.spread(Self.layersWithCodes, of: claims.count))
    return claims.indices.map {
      Choice(claim: claims[$0], groups: claims[$0].groups, codes: withCodes.contains($0))
    }
  }
}
