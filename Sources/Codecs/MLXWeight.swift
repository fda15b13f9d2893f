import Kernels
import TensorCore

/// How the elements of MLX's small floats and their scales are stored (MLX-7).
enum MLXFloatMode: String, CaseIterable {
  case mxfp4, nvfp4, mxfp8

  var bits: Int { self == .mxfp8 ? 8 : 4 }
  var groupSize: Int { self == .nvfp4 ? 16 : 32 }
  var scaleType: DType { self == .nvfp4 ? .f8e4m3 : .f8e8m0 }
  var grid: Grid { self == .mxfp8 ? .e4m3 : .e2m1 }
}

/// The tensors of a module in MLX's layout, and what their shapes tell.
struct MLXWeight {
  /// Bits and group size, and where they differ from the config's.
  struct Packing {
    let bits: Int
    let groupSize: Int
    var findings: [Finding] = []
  }

  /// Each becomes a layer of its own, which must not cost more than its bytes justify.
  private static let mostExperts = 1 << 16

  let module: String
  let weight: Tensor
  let scales: Tensor
  /// nil for small floats.
  let biases: Tensor?
  /// nil where the module is one matrix; otherwise how many are fused (MLX-8).
  let experts: Int?
  let rows: Int
  /// 32-bit words of codes a row.
  let words: Int
  /// Scales a row.
  let groups: Int

  /// nil where the module is none of MLX's. Throws `malformed` where a part is missing or
  /// misshapen, `unsupported` where it has a part that is not read.
  init?(_ module: String, in table: TensorTable) throws {
    guard let weight = table["\(module).weight"], weight.dtype == .u32,
      let scales = table["\(module).scales"], table["\(module).qbiases"] == nil
    else { return nil }
    let shape = weight.shape.dimensions
    guard (2...3).contains(shape.count), !shape.contains(0), scales.shape.count > 0,
      scales.shape.dimensions.dropLast() == shape.dropLast()
    else {
      throw Failure(
        .malformed, at: scales.place, "scales don't fit the codes",
        expected: "the outputs of \(weight.shape)", found: "\(scales.shape)", rule: "MLX-2")
    }
    self.module = module
    self.weight = weight
    self.scales = scales
    biases = table["\(module).biases"]
    experts = shape.count == 3 ? shape[0] : nil
    rows = shape[shape.count - 2]
    words = shape[shape.count - 1]
    groups = scales.shape[shape.count - 1]
    try checkTypes()
    guard experts ?? 0 <= Self.mostExperts else {
      throw Failure(
        .malformed, at: weight.place, "fused experts", expected: "at most \(Self.mostExperts)",
        found: "\(shape[0])", rule: "MLX-8")
    }
    if let global = table["\(module).global_scale"] {
      throw Failure(
        .unsupported, at: global.place, "a scale of the whole tensor is not read by this version",
        rule: "MLX-9")
    }
  }

  private func checkTypes() throws {
    guard [.f16, .bf16, .f32, .u8].contains(scales.dtype) else {
      throw Failure(
        .malformed, at: scales.place, "the type of the scales", expected: "F16, BF16, F32 or U8",
        found: scales.dtype.rawValue, rule: "MLX-2")
    }
    guard let biases else {
      guard scales.dtype != .u8 else { return }
      throw Failure(
        .malformed, at: weight.source.path, "layer \(module) is incomplete",
        expected: "a tensor \(module).biases beside its scales", found: "none", rule: "MLX-1")
    }
    guard biases.dtype == scales.dtype, biases.shape == scales.shape, scales.dtype != .u8 else {
      throw Failure(
        .malformed, at: biases.place, "biases don't fit the scales",
        expected: scales.dtype == .u8 ? "none" : "\(scales.dtype) \(scales.shape)",
        found: "\(biases.dtype) \(biases.shape)", rule: "MLX-2")
    }
  }

  var parts: [String: Tensor] {
    var parts = ["weight": weight, "scales": scales]
    parts["biases"] = biases
    return parts
  }

  var slices: [LayerClaim.Slice?] {
    guard let experts else { return [nil] }
    return (0..<experts).map { LayerClaim.Slice(index: $0, count: experts) }
  }

  /// MLX-3: shapes give bits × group size; MLX-4: the config says which pair it is.
  func packing(declared: Scheme.Settings?) throws -> Packing {
    guard let bits = words.multiplied(by: 32), bits % groups == 0 else { throw misfit }
    let possible = pairs(bits / groups)
    guard let first = possible.first else { throw misfit }
    guard let declared else { return undeclared(possible, first) }
    let chosen =
      possible.first { $0.bits == declared.bits && $0.groupSize == declared.groupSize }
      ?? possible.first { $0.groupSize == declared.groupSize }
      ?? possible.first { $0.bits == declared.bits } ?? first
    return Packing(
      bits: chosen.bits, groupSize: chosen.groupSize,
      findings: [
        disagreement("bits", declared.bits, chosen.bits),
        disagreement("group_size", declared.groupSize, chosen.groupSize),
      ].compactMap(\.self))
  }

  /// The pairs whose product is `product`, MLX's own default of 64 columns first.
  private func pairs(_ product: Int) -> [Packing] {
    if scales.dtype == .u8 {
      return MLXFloatMode.allCases.filter { $0.bits * $0.groupSize == product }.map {
        Packing(bits: $0.bits, groupSize: $0.groupSize)
      }
    }
    return [64, 32, 128].filter { product % $0 == 0 && MLX.widths.contains(product / $0) }.map {
      Packing(bits: product / $0, groupSize: $0)
    }
  }

  private func undeclared(_ possible: [Packing], _ first: Packing) -> Packing {
    guard possible.count > 1 else { return first }
    let failure = Failure(
      .malformed, at: module, "shapes alone do not tell bits and group_size",
      expected: "a config that does",
      found: possible.map { "\($0.bits) bits in groups of \($0.groupSize)" }
        .joined(separator: " or "), rule: "MLX-4")
    return Packing(
      bits: first.bits, groupSize: first.groupSize,
      findings: [Finding(.error, failure, names: [module])])
  }

  private func disagreement(_ key: String, _ expected: Int, _ found: Int) -> Finding? {
    guard expected != found else { return nil }
    let failure = Failure(
      .malformed, at: module, "the config and the tensors disagree on \(key)",
      expected: "\(expected)", found: "\(found)", rule: "MLX-4")
    return Finding(.error, failure, names: [module])
  }

  private var misfit: Failure {
    Failure(
      .malformed, at: weight.place, "the widths of codes and scales fit no bits and group size",
      expected: scales.dtype == .u8
        ? "64, 128 or 256 bits a group" : "32, 64 or 128 codes of 1 to 6 or 8 bits a group",
      found: "\(words) words and \(groups) groups a row", rule: "MLX-3")
  }
}
