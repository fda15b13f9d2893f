public import Codecs
import Kernels
public import TensorCore

/// What a conversion is asked to do.
public struct ConversionOptions: Sendable {
  /// What is written: a packed layout, dense weights, or the same tensors in other files.
  public enum Target: Sendable {
    case layout(any Codec)
    case dense(DType)
    case asIs
    /// Dense weights in fewer bits, rounded anew.
    case quantized(Quantization)

    /// The name users type after `--to`.
    public var name: String {
      switch self {
      case .layout(let codec): codec.name
      case .dense: "dense"
      case .asIs: "as-is"
      case .quantized(let quantization): quantization.method.rawValue
      }
    }
  }

  public var target: Target
  /// Settles version 1 zero points of unknown writers.
  public var assumeZeros: ZeroRule?
  /// Reads the zero points of GPTQ layers as this version, whatever the config says (GPTQ-13).
  public var assumeVersion: GPTQ.Version?
  /// Splits groups into this size where that is exact; nil splits only where the target must.
  public var groupSize: Int?
  /// Whether layers the target can't hold are rounded anew. Adds error, which is reported.
  public var allowsRequantize = false
  /// Layers that the target can't hold are written dense in this type; nil refuses them.
  public var restType: DType?
  /// Whether orders of inputs that the target has no place for are moved into the layers that make these
  /// inputs, where that is exact; otherwise they are refused.
  public var foldsOrders = true
  /// Pads MLPs with zeros so that each of this many ranks gets whole groups; nil leaves them.
  public var padForRanks: Int?
  public var encoding = EncodingOptions()
  /// Bytes of tensor data a file may hold.
  public var maxShardBytes = 5_000_000_000
  public var threads = Processor.cores
  /// Whether files are flushed to disk before they take their names.
  public var sync = true
  /// Whether a manifest is written into the output.
  public var writesManifest = false
  /// How the source was quantized in the same run; nil where it was not.
  var quantization: JSONObject?
  /// Whether an existing output folder is replaced.
  public var force = false

  public init(target: Target) {
    self.target = target
  }

  /// A target by name: a writable layout, or `dense` in `dtype`. Throws `usage`.
  public init(target name: String, dtype: DType = .bf16) throws {
    if name == "dense" {
      self.init(target: .dense(dtype))
    } else if let codec = Codecs.named(name), codec.isWritable {
      self.init(target: .layout(codec))
    } else {
      throw Failure(
        .usage, at: "--to", "no such layout", expected: Self.targetNames.joined(separator: ", "),
        found: name)
    }
  }

  /// What decides the output's bytes, as a manifest keeps it.
  var json: JSONObject {
    var type: JSON = .null
    if case .dense(let dtype) = target { type = .string(dtype.rawValue) }
    var object = JSONObject([
      "target": .string(target.name), "dtype": type,
      "group_size": groupSize.map { .integer($0) } ?? .null,
      "assume_zeros": assumeZeros.map { .string($0.rawValue) } ?? .null,
      "allow_requantize": .bool(allowsRequantize),
      "fold": .bool(foldsOrders),
      "rest": restType.map { .string($0.rawValue) } ?? .null,
      "max_shard_bytes": .integer(maxShardBytes),
    ])
    if case .quantized(let quantization) = target {
      object["quantization"] = .object(quantization.json)
    }
    if let quantization { object["quantization"] = .object(quantization) }
    return object
  }

  /// All names a target may have.
  public static var targetNames: [String] { Codecs.writable.map(\.name) + ["dense"] }
}

extension ConversionOptions.Target {
  /// Whether matrices may get zeros behind them on the way.
  var canPad: Bool {
    switch self {
    case .layout, .dense: true
    case .asIs, .quantized: false
    }
  }
}
