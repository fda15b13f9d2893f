public import Kernels
public import TensorCore

/// MLX's layout as mlx-lm writes it (`Formats/mlx.md`): rows of codes as one little-endian stream
/// in 32-bit words, a scale and an added bias for each group; and, to read, MLX's small floats.
public struct MLX: Codec {
  /// Widths and group sizes of affine layers (MLX-3).
  static let widths = [1, 2, 3, 4, 5, 6, 8]
  static let groupSizes = [128, 64, 32]

  public let name = "mlx"
  public let configRule = "MLX-23"
  public init() {}

  /// MLX-22 and MLX-23.
  public var packsEmbeddings: Bool { true }
  public var habits: FileHabits {
    var habits = FileHabits()
    habits.metadataFormat = "mlx"
    habits.configKeys = ["quantization", "quantization_config"]
    habits.hasOwnConfigFile = false
    habits.listsPackedModules = false
    habits.spellsWholeRows = false
    return habits
  }

  public func candidates(in table: TensorTable) -> [String] {
    table.modules(with: "scales").filter { table["\($0).weight"]?.dtype == .u32 }
  }

  public func claims(
    _ module: String, in table: TensorTable, declared: Declared
  ) throws -> [LayerClaim] {
    guard let weight = try MLXWeight(module, in: table) else { return [] }
    let packing = try weight.packing(declared: declared.settings)
    return weight.slices.map { slice in
      LayerClaim(
        name: slice.map { "\(module)[\($0.index)]" } ?? module, layout: name, rows: weight.rows,
        columns: weight.groups * packing.groupSize, bits: packing.bits,
        groupSize: packing.groupSize, parts: weight.parts, slice: slice,
        dense: DensePlace(name: "\(module).weight"), findings: packing.findings)
    }
  }

  public func open(
    _ claim: LayerClaim, scheme: Scheme?, assume: ZeroRule?
  ) throws -> any PackedLayer {
    try MLXLayer(claim)
  }

  public var scaleTypes: [DType] { [.f16, .bf16, .f32] }

  public func splitGroupSize(for form: QuantizedForm) -> Int? {
    guard case .columns(let size) = form.grouping, !Self.groupSizes.contains(size) else {
      return nil
    }
    return Self.groupSizes.first { size % $0 == 0 && form.columns % $0 == 0 }
  }

  public func refusal(of layer: LayerFacts) -> Refusal? {
    let form = layer.form
    guard case .affine(let bits) = form.grid else {
      return Refusal(
        "its codes stand for small floats, and MLX's are read only", remedy: "--to dense",
        rule: "MLX-7")
    }
    guard Self.widths.contains(bits) else {
      return Refusal(
        "MLX has no \(bits)-bit codes", remedy: "bits 1, 2, 3, 4, 5, 6 or 8", rule: "MLX-3")
    }
    guard case .columns(let size) = form.grouping else {
      return .activationOrder(target: "MLX", rule: "MLX-10")
    }
    guard Self.groupSizes.contains(size) && form.columns % size == 0 else {
      return Refusal(
        "groups of \(size) over \(form.columns) columns, and MLX has groups of 32, 64 and 128 "
          + "that divide the columns", remedy: "--to dense", rule: "MLX-10")
    }
    return refusal(ofScales: form)
  }

  private func refusal(ofScales form: QuantizedForm) -> Refusal? {
    let types =
      switch form.offset {
      case .none, .integer: [form.scaleType]
      case .real(let type), .added(let type): [form.scaleType, type]
      }
    if case .real = form.offset {
      return Refusal(
        "its zero points are real numbers, and MLX adds a bias instead", remedy: "--to dense",
        rule: "MLX-11")
    }
    guard let other = types.first(where: { !scaleTypes.contains($0) }) else { return nil }
    return Refusal(
      "scales or biases are \(other)", remedy: "F16, BF16 or F32 ones", rule: "MLX-2")
  }
}
