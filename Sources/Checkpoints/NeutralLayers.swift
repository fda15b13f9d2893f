internal import Codecs
internal import Containers
internal import Kernels
internal import TensorCore

/// The layers of a checkpoint that lose nothing in neutral terms: what was decoded from them encodes
/// to the same bytes, all of them compared.
struct NeutralLayers {
  private(set) var layers: [PackedQuantDirectory.Layer] = []
  private(set) var raw: [(name: String, reason: String)] = []
  /// How the tensors of these layers are taken apart.
  private(set) var transforms: [[UInt8]: PackedTransform] = [:]

  private let numbers: [[UInt8]: Int]
  private let threads: Int

  /// `numbers` are those of all tensors that are packed. Files that are no checkpoint have no
  /// layers. Throws `io`.
  init(_ path: String, _ numbers: [[UInt8]: Int], threads: Int) throws {
    self.numbers = numbers
    self.threads = threads
    let checkpoint: Checkpoint
    do {
      checkpoint = try Checkpoint(opening: path, strict: false)
    } catch let failure as Failure where failure.kind != .io {
      return
    }
    for claim in checkpoint.layers { try take(claim, of: checkpoint) }
  }

  private mutating func take(_ claim: LayerClaim, of checkpoint: Checkpoint) throws {
    do {
      if let reason = try reasonAgainst(claim, of: checkpoint) {
        return raw.append((claim.name, reason))
      }
    } catch let failure as Failure where failure.kind != .io {
      return raw.append((claim.name, failure.what))
    }
    let parts = claim.parts.compactMap { role, tensor in
      numbers[PackedInput.key(tensor)].map { (role: role, tensor: $0) }
    }
    guard parts.count == claim.parts.count else {
      return raw.append((claim.name, "its tensors are not among the files"))
    }
    layers.append(
      .init(
        name: claim.name, layout: claim.layout, rows: claim.rows, columns: claim.columns,
        bits: claim.bits, groupSize: claim.groupSize,
        parts: parts.sorted { $0.role.utf8.lexicographicallyPrecedes($1.role.utf8) }))
    for (role, tensor) in claim.parts {
      transforms[PackedInput.key(tensor)] = CodePlaces.transform(of: role, tensor, in: claim)
    }
  }

  /// Why the layer stays as raw tensors; nil where encode(decode(x)) == x.
  private func reasonAgainst(_ claim: LayerClaim, of checkpoint: Checkpoint) throws -> String? {
    guard claim.slice == nil else { return "it shares its tensors with other layers" }
    guard let codec = Codecs.named(claim.layout), codec.isWritable else {
      return "its layout is not written"
    }
    let layer = try checkpoint.open(claim)
    let stated = Set(claim.parts.values.map(\.info))
    // A part that the layout allows to be left out, such as a group index, may be made too.
    let parts = try codec.parts(of: layer, options: EncodingOptions())
      .filter { stated.contains($0.info) }
    guard parts.count == stated.count else { return "its parts are not those its layout writes" }
    guard parts.allSatisfy({ $0.info.byteCount > 0 }) else { return "it is empty" }
    let proof = DenseProof(
      parts: parts.map { DenseProof.Part(name: claim.name, part: $0) }, output: checkpoint,
      threads: threads)
    let results = try proof.run { _, _ in }
    return results.allSatisfy(\.isEqual) ? nil : "encoding it anew gives other bytes"
  }
}

/// Where the codes of layouts are in their words, for the transforms of containers.
enum CodePlaces {
  /// How a part of a layer is taken apart; plain streams for scales and whatever holds no codes.
  static func transform(
    of role: String, _ tensor: Tensor, in claim: LayerClaim
  ) -> PackedTransform {
    guard [.i32, .u32].contains(tensor.dtype), let shape = tensor.shape.matrix else {
      return PackedTransform(for: tensor)
    }
    let bits = claim.bits
    switch (claim.layout, role) {
    case ("gptq", "qweight"), ("gptq_v2", "qweight"):
      return .codes(bits: bits, .down(columns: shape.columns))
    case ("awq", "qweight"), ("awq", "qzeros"): return .codes(bits: bits, .interleaved)
    case (_, "qweight"), (_, "qzeros"), (_, "weight"), (_, "weight_packed"),
      (_, "weight_zero_point"):
      return .codes(bits: bits, .along)
    default: return PackedTransform(for: tensor)
    }
  }
}
