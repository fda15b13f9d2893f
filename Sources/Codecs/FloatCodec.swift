internal import Kernels
public import TensorCore

/// The layouts of small floats: FP8, MXFP4, MXFP8 and NVFP4. They are read, not written.
///
/// A checkpoint may mix them, with each other and with dense layers, under a config of any.
public struct FloatCodec: Codec {
  /// Finds the tensors of a module; nil where they are in another layout.
  typealias Find =
    @Sendable (_ module: String, _ table: TensorTable, _ declared: Declared) throws -> FloatWeight?

  public let name: String
  public var configRule: String {
    switch name {
    case "fp8": "FP8-9"
    case "nvfp4": "NVFP4-9"
    default: "MX-9"
    }
  }
  public var isWritable: Bool { false }
  public var dialects: [String] { ["compressed-tensors", "fp8", "mxfp4", "mxfp8", "nvfp4"] }
  /// Ends of the names of tensors that hold codes, and what is left of the name is the module.
  private let suffixes: [String]
  private let find: Find
  private let dialect: @Sendable (JSONObject) throws -> Scheme?

  init(
    _ name: String, suffixes: [String], dialect: @escaping @Sendable (JSONObject) throws -> Scheme?,
    find: @escaping Find
  ) {
    self.name = name
    self.suffixes = suffixes
    self.dialect = dialect
    self.find = find
  }

  public func candidates(in table: TensorTable) -> [String] {
    var modules: Set<String> = []
    for name in table.names {
      for suffix in suffixes where name.hasSuffix(suffix) {
        let module = String(name.dropLast(suffix.count))
        // `X.weight_scale` belongs to X, which its weight has named already.
        if !module.hasSuffix(".weight") { modules.insert(module) }
      }
    }
    return modules.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  public func claims(
    _ module: String, in table: TensorTable, declared: Declared
  ) throws -> [LayerClaim] {
    guard let weight = try find(module, table, declared) else { return [] }
    return weight.claims(layout: name, findings: [])
  }

  public func open(
    _ claim: LayerClaim, scheme: Scheme?, assume: ZeroRule?
  ) throws -> any PackedLayer {
    let module = claim.slice.map { String(claim.name.dropLast("[\($0.index)]".count)) }
    let name = module ?? claim.name
    let declared = Declared(scheme: scheme, settings: scheme?.rules().settings(for: name))
    guard let weight = try find(name, TensorTable(Array(claim.parts.values)), declared) else {
      throw Failure(.internal, at: claim.name, "a claimed layer lost its parts")
    }
    return FloatLayer(claim, weight, scaling: try weight.scaling(slice: claim.slice))
  }

  public func refusal(of layer: LayerFacts) -> Refusal? {
    Refusal("\(name) is read only", remedy: "--to dense")
  }

  public func parts(
    of layer: any PackedLayer, options: EncodingOptions
  ) throws -> [EncodedPart] {
    throw readOnly(layer.name)
  }

  public func scheme(from config: JSONObject) throws -> Scheme? { try dialect(config) }

  public func config(for scheme: Scheme) throws -> JSONObject {
    throw readOnly("quantization config")
  }

  private func readOnly(_ place: String) -> Failure {
    Failure(.cannotRepresent, at: place, "\(name) is read only", remedy: "--to dense")
  }
}

extension TensorTable {
  /// The first of several tensors.
  func first(_ names: [String]) -> Tensor? {
    names.lazy.compactMap { self[$0] }.first
  }

  /// What some writers keep beside a module's weight for its inputs and outputs.
  func activationParts(of module: String) -> [Tensor] {
    let names = [
      "input_scale", "input_scale_ub", "input_global_scale", "output_scale", "activation_scale",
      "qscale_act", "input_zero_point",
    ]
    return names.compactMap { self["\(module).\($0)"] }
  }
}
