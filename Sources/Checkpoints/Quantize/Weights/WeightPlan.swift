public import Codecs
internal import Containers
internal import Kernels
public import TensorCore

/// The quantization of a dense checkpoint as a value: layers, settings and layouts, all checked before anything
/// is computed. It can be shown, encoded as JSON, and run.
public struct WeightPlan: Sendable {
  public let source: Checkpoint
  public let quantization: WeightQuantization
  /// Threads, flushing, sizes of files and the like; its target counts for nothing.
  public let options: ConversionOptions
  /// What is known of each layout.
  public let forecasts: [FormatForecast]
  let modules: QuantizedModules

  /// Reads headers only. Throws `usage`, `unsupported`, and `cannotRepresent` where a layout can't hold what
  /// is asked for.
  public init(
    _ source: Checkpoint, _ quantization: WeightQuantization, _ options: ConversionOptions
  ) throws {
    try quantization.check()
    try SourceCheck.checkDense(source)
    self.source = source
    self.quantization = quantization
    self.options = options
    let modules = try QuantizedModules(of: source, quantization)
    self.modules = modules
    forecasts = try quantization.formats.map {
      try FormatForecast($0, modules, quantization, of: source, options)
    }
  }

  public var layerCount: Int { modules.modules.count }
  /// Blocks that are quantized one after the other; the head counts as one.
  public var blockCount: Int { modules.blocks.count }
  /// Linear layers that stay dense: by the user's word, and by themselves.
  public var denseLayers: [String] { modules.skipped + modules.kept }

  /// Weights that are quantized.
  public var weightCount: Int {
    modules.modules.reduce(0) { $0 + $1.rows * $1.columns }
  }

  /// Where each layout goes: into the output, or several into folders inside it.
  public func outputs(at path: String) -> [(codec: any Codec, path: String)] {
    quantization.formats.map { codec in
      (codec, quantization.formats.count > 1 ? "\(path)/\(codec.name)" : path)
    }
  }

  public var json: JSON {
    [
      "source": .string(source.path), "quantization": .object(quantization.json),
      "layers": .array(
        modules.modules.map {
          [
            "name": .string($0.name), "rows": .integer($0.rows), "columns": .integer($0.columns),
            "bits": .integer($0.settings.bits), "group_size": .integer($0.settings.groupSize),
          ]
        }),
      "kept_dense": .strings(denseLayers),
      "formats": .array(
        forecasts.map {
          [
            "format": .string($0.name), "bytes": .integer($0.byteCount),
            "bits_per_weight": .real($0.bitsPerWeight(weightCount)),
            "changes": .strings($0.changes.map(\.description)),
          ]
        }),
    ]
  }
}

extension FormatForecast {
  /// Bits that a weight takes with its share of scales and zero points.
  public func bitsPerWeight(_ weights: Int) -> Double { Double(byteCount) * 8 / Double(weights) }
}
