internal import Codecs
internal import Kernels
internal import TensorCore

/// The tensors and the config that a dense checkpoint becomes.
struct QuantizedTensors {
  let outputs: [ConversionPlan.Output]
  /// `quantization_config`.
  let config: JSONObject
  let summary: QuantizedSummary
  let findings: [Finding]

  /// Reads headers only, but where maxima are quantized too: then every weight once.
  init(of source: Checkpoint, _ quantization: Quantization, threads: Int) throws {
    try quantization.check()
    let modules = try LinearModules(of: source, quantization)
    let weights = modules.weights
    let made = Gathered<QuantizedParts>(count: weights.count)
    try parallelBands(weights.count, threads: threads) { index, workspace in
      made.set(try Self.parts(of: weights[index], quantization, workspace), at: index)
    }
    let packed = zip(weights, made.values).flatMap { weight, parts -> [ConversionPlan.Output] in
      let others = parts.others + [parts.companion?.part].compactMap(\.self)
      return [
        ConversionPlan.Output(
          info: parts.weight.info,
          recipe: .quantize(parts.weight, from: weight, with: parts.companion))
      ]
        + others.map {
          ConversionPlan.Output(info: $0.info, recipe: .quantize($0, from: weight, with: nil))
        }
    }
    let taken = Set(weights.map(\.name))
    let kept = source.denseTensors.filter { !taken.contains($0.name) }
    outputs = packed + kept.map { ConversionPlan.Output(info: $0.info, recipe: .copy($0)) }
    config = try quantization.config(for: source, modules)
    findings = modules.findings
    summary = QuantizedSummary(
      method: quantization.method, layers: weights.count,
      weights: weights.reduce(0) { $0 + $1.shape[0] * $1.shape[1] },
      sourceBytes: weights.reduce(0) { $0 + $1.byteCount },
      bytes: packed.reduce(0) { $0 + $1.info.byteCount },
      keptDense: modules.heads + modules.skipped)
  }

  private static func parts(
    of weight: Tensor, _ quantization: Quantization, _ workspace: Workspace
  ) throws -> QuantizedParts {
    guard let kind = quantization.method.kind else {
      return try Int8Parts(weight, quantization).parts()
    }
    return try FourBitParts(weight, kind, quantization, workspace).parts()
  }
}

/// What was quantized.
public struct QuantizedSummary: Sendable {
  public let method: Quantization.Method
  public let layers: Int
  public let weights: Int
  /// Bytes of the weights before and, with all that belongs to them, after.
  public let sourceBytes: Int
  public let bytes: Int
  /// Linear layers that stay dense.
  public let keptDense: [String]

  /// Bits that a weight takes now, with its share of tables and maxima.
  public var bitsPerWeight: Double { Double(bytes) * 8 / Double(weights) }

  var json: JSON {
    [
      "method": .string(method.rawValue), "layers": .integer(layers), "weights": .integer(weights),
      "source_bytes": .integer(sourceBytes), "bytes": .integer(bytes),
      "bits_per_weight": .real(bitsPerWeight), "kept_dense": .strings(keptDense),
    ]
  }
}

extension Quantization {
  /// The codec's config with all of its keys, and in it what was chosen (BNB-30).
  func config(for source: Checkpoint, _ modules: LinearModules) throws -> JSONObject {
    let codec = method.codec
    let bits = method.kind == nil ? 8 : 4
    var config = try codec.config(
      for: Scheme(
        layout: codec.name, defaults: .init(bits: bits, groupSize: blockSize, symmetric: true)))
    config["llm_int8_skip_modules"] = skipList(modules)
    guard let kind = method.kind else { return config }
    let compute = computeType ?? source.config.denseType ?? .f32
    config["bnb_4bit_compute_dtype"] = Self.name(of: compute, in: QuantState.types)
    config["bnb_4bit_quant_storage"] = Self.name(of: storage, in: QuantState.storages)
    config["bnb_4bit_quant_type"] = .string(kind.rawValue)
    config["bnb_4bit_use_double_quant"] = .bool(doubleQuantized)
    return config
  }

  /// A list replaces what the loader leaves out by itself, so the head is named in it (BNB-54).
  private func skipList(_ modules: LinearModules) -> JSON {
    guard !skippedModules.isEmpty else { return .null }
    return .strings(skippedModules + (modules.heads.isEmpty ? ["lm_head"] : modules.heads))
  }

  private static func name(of type: DType, in names: [(name: String, type: DType)]) -> JSON {
    .string(names.first { $0.type == type }?.name ?? type.rawValue)
  }
}
