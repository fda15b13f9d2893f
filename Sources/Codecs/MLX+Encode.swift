internal import Kernels
internal import TensorCore

extension MLX {
  public func parts(
    of layer: any PackedLayer, options: EncodingOptions
  ) throws -> [EncodedPart] {
    let form = layer.form
    guard layer.claim.slice == nil else {
      throw Failure(
        .cannotRepresent, at: layer.name, "fused experts are read only", rule: "MLX-8",
        remedy: "--to dense")
    }
    let parameters = try MLXParameters(layer, options)
    let shape = [form.rows, form.groups]
    return [
      try .init(
        "\(layer.name).weight", .u32, [form.rows, form.columns * form.grid.bits / 32],
        alignment: Region.alignment, order: .outputMajor
      ) { rows, words, workspace in
        let region = Region(rows: rows, columns: 0..<form.columns)
        try layer.readWords(region, .outputMajor, into: &words, workspace)
      },
      try .init(
        "\(layer.name).scales", parameters.type, shape, alignment: Region.alignment,
        note: parameters.note, make: parameters.makeScales),
      try .init(
        "\(layer.name).biases", parameters.type, shape, alignment: Region.alignment,
        make: parameters.makeBiases),
    ]
  }
}

/// Scales and biases of a layer in the one type that holds both of them exactly.
private struct MLXParameters {
  let layer: any PackedLayer
  let type: DType
  let note: String?

  /// Reads scales and zero points of layers without biases, in bands. Throws `io`, and
  /// `cannotRepresent` where no allowed type holds what is to be stored (MLX-12, MLX-13).
  init(_ layer: any PackedLayer, _ options: EncodingOptions) throws {
    self.layer = layer
    let form = layer.form
    var note: String?
    if case .added(let type) = form.offset {
      if type != form.scaleType { note = "scales are \(form.scaleType) and biases \(type)" }
    } else {
      let misfits = try Misfits(layer)
      if misfits.float32 > 0 { throw misfits.failure(.f32, misfits.float32) }
      if misfits.own > 0 {
        guard options.allowsFloat32Scales else {
          throw misfits.failure(form.scaleType, misfits.own)
        }
        note = "-z·s of \(misfits.own) of \(form.parameterCount) groups has no \(form.scaleType)"
      }
    }
    guard note == nil || options.allowsFloat32Scales else {
      throw Failure(
        .cannotRepresent, at: layer.name, "scales and biases have one type in MLX",
        found: note, rule: "MLX-13", remedy: "F32 scales hold both")
    }
    type = note == nil ? form.scaleType : .f32
    self.note = note.map { "scales and biases are F32: \($0)" }
  }

  @Sendable func makeScales(
    _ rows: Range<Int>, _ bytes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let region = Region(rows: rows, columns: 0..<layer.form.groups)
    if type == layer.form.scaleType {
      try layer.readScales(region, .outputMajor, into: &bytes, workspace)
    } else {
      try layer.readFloatScales(region, .outputMajor, into: &bytes, workspace)
    }
  }

  @Sendable func makeBiases(
    _ rows: Range<Int>, _ bytes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let region = Region(rows: rows, columns: 0..<layer.form.groups)
    switch layer.form.offset {
    case .added(let stored) where stored == type:
      try layer.readOffsets(region, .outputMajor, into: &bytes, workspace)
    case .added:
      try layer.readFloatOffsets(region, .outputMajor, into: &bytes, workspace)
    case .none, .integer, .real:
      try layer.readTerms(region, as: type, into: &bytes, workspace)
    }
  }
}

/// Groups whose −z·s has no exact form (MLX-12).
private struct Misfits {
  let layer: any PackedLayer
  /// Groups that not even F32 holds.
  private(set) var float32 = 0
  /// Groups that the type of the scales does not hold.
  private(set) var own = 0

  init(_ layer: any PackedLayer) throws {
    self.layer = layer
    let form = layer.form
    let largest = Float(1 << form.grid.bits - 1)
    var (float32, own) = (0, 0)
    try layer.forEachParameterBand(Workspace()) { scales, zeros in
      for index in 0..<scales.byteCount / 4 {
        let scale = scales.float32(at: index)
        let zero = form.offset == .none ? 0 : zeros.float32(at: index)
        // Where the largest code times the scale is exact, so is every product in the group.
        if !scale.timesIsExact(largest) || !scale.timesIsExact(zero) { float32 += 1 }
        if !form.scaleType.holds(scale * zero) { own += 1 }
      }
    }
    self.float32 = float32
    self.own = own
  }

  func failure(_ type: DType, _ count: Int) -> Failure {
    Failure(
      .cannotRepresent, at: layer.name,
      "the biases -z·s of \(count) of \(layer.form.parameterCount) groups are not exact in \(type)",
      rule: type == .f32 ? "MLX-12" : "MLX-13",
      remedy: type == .f32 ? "--to dense" : "F32 scales hold them")
  }
}

extension Float {
  /// Whether the product needs no rounding and is finite. 48 bits of a product fit in a Double.
  fileprivate func timesIsExact(_ other: Float) -> Bool {
    let product = self * other
    return product.isFinite && Double(product) == Double(self) * Double(other)
  }
}

extension DType {
  /// Whether a floating-point type to write holds a finite number exactly.
  func holds(_ value: Float) -> Bool {
    switch self {
    case .f32: true
    case .bf16: value.bitPattern & 0xFFFF == 0
    case .f16 where value.magnitude < 0x1p-14:
      // Below the normal numbers halves are multiples of 2^-24.
      (value * 0x1p24).rounded() == value * 0x1p24
    case .f16: value.magnitude <= 65504 && value.bitPattern & 0x1FFF == 0
    default: false
    }
  }
}
