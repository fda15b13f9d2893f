import Codecs
import Kernels
import TensorCore

/// Opens layers the way a checkpoint does, and reads them whole.
enum Opened {
  /// A layer of `tensors` that a config of this layout declares.
  static func layer(
    _ codec: any Codec, _ tensors: [Tensor], named name: String = "layer", bits: Int = 4,
    groupSize: Int, writer: String? = nil, assume: ZeroRule? = nil
  ) throws -> any PackedLayer {
    let settings = Scheme.Settings(bits: bits, groupSize: groupSize, symmetric: false)
    let scheme = Scheme(layout: codec.name, defaults: settings, writer: writer)
    return try layer(codec, tensors, named: name, scheme: scheme, assume: assume)
  }

  static func layer(
    _ codec: any Codec, _ tensors: [Tensor], named name: String, scheme: Scheme?,
    assume: ZeroRule? = nil
  ) throws -> any PackedLayer {
    let settings = scheme?.rules().settings(for: name)
    let claims = try codec.claims(
      name, in: TensorTable(tensors), declared: Declared(scheme: scheme, settings: settings))
    guard let claim = claims.first, claims.count == 1 else {
      throw Failure(.internal, at: name, "\(codec.name) claims \(claims.count) layers")
    }
    if let finding = claim.findings.first { throw finding.failure }
    return try codec.open(claim, scheme: scheme, assume: assume)
  }

  /// The same layer written in another layout and opened from there.
  static func rewritten(_ layer: any PackedLayer, as codec: any Codec) throws -> any PackedLayer {
    try Opened.layer(
      codec, try tensors(of: layer, as: codec), named: layer.name, bits: layer.form.grid.bits,
      groupSize: layer.claim.groupSize)
  }

  static func tensors(of layer: any PackedLayer, as codec: any Codec) throws -> [Tensor] {
    try codec.parts(of: layer, options: EncodingOptions()).map { part in
      try Tensor.made(
        part.info.name, part.info.dtype, part.info.shape.dimensions, bytes(of: part, step: 1 << 20))
    }
  }

  /// A part made in bands of `step` units of its alignment, joined.
  static func bytes(of part: EncodedPart, step: Int) throws -> [UInt8] {
    let workspace = Workspace()
    let rows = part.info.shape.dimensions.first ?? 1
    let rowBytes = part.info.byteCount / rows
    let band = step * part.alignment
    return try stride(from: 0, to: rows, by: band).flatMap { start in
      let range = start..<min(start + band, rows)
      return try workspace.lend(range.count * rowBytes) { bytes in
        try part.make(range, &bytes, workspace)
        return bytes.bytes.array
      }
    }
  }
}

extension PackedLayer {
  func codes(_ region: Region, _ order: Order) throws -> [UInt8] {
    let workspace = Workspace()
    return try workspace.lend(region.count) { bytes in
      try readCodes(region, order, into: &bytes, workspace)
      return bytes.bytes.array
    }
  }

  /// Whole zero points, real ones or terms; none where the form has none.
  func offsets(_ region: Region, _ order: Order) throws -> [Float] {
    guard form.offset != .none else { return [] }
    let workspace = Workspace()
    return try workspace.lend(region.count * 4) { bytes in
      try readFloatOffsets(region, order, into: &bytes, workspace)
      return (0..<region.count).map { bytes.bytes.float32(at: $0) }
    }
  }

  func scales(_ region: Region, _ order: Order) throws -> [Float] {
    let workspace = Workspace()
    return try workspace.lend(region.count * 4) { bytes in
      try readFloatScales(region, order, into: &bytes, workspace)
      return (0..<region.count).map { bytes.bytes.float32(at: $0) }
    }
  }

  func weights(_ region: Region) throws -> [Float] {
    let workspace = Workspace()
    return try workspace.lend(region.count * 4) { bytes in
      try readWeights(region, into: &bytes, workspace)
      return (0..<region.count).map { bytes.bytes.float32(at: $0) }
    }
  }

  var facts: LayerFacts {
    get throws { try LayerFacts(of: self, Workspace()) }
  }
}

extension QuantizedMatrix {
  func floatOffset(at position: Int) -> Float {
    form.offset == .integer ? Float(zeros[position]) : offsets[position]
  }
}
