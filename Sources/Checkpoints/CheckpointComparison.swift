public import Codecs
internal import Containers
internal import Kernels
public import TensorCore

/// Whether two checkpoints hold the same numbers, whatever layouts they are stored in.
///
/// Layers of one form in both are compared number by number: codes, scales, zeros. Those of
/// different forms, packed or dense, are dequantized and compared by value.
public struct CheckpointComparison: Sendable {
  /// How a comparison is made.
  public struct Options: Sendable {
    /// Settles version 1 zero points of unknown writers.
    public var assumeZeros: ZeroRule?
    /// Reads GPTQ zero points of one side so, whatever its config says.
    public var firstVersion: GPTQ.Version?
    public var secondVersion: GPTQ.Version?
    /// How many steps of the coarser type values may differ where they are compared by value.
    public var toleranceULPs = 0
    public var threads = Processor.cores

    public init() {}
  }

  /// Layers that are packed in at least one and there in both.
  public let layers: [LayerComparison]
  /// Dense tensors in both, and those that differ: by their bytes, or by value where they are
  /// floats of different types or a tolerance is given.
  public let denseTensors: Int
  public let differingTensors: [String]
  /// Dense tensors that were compared by value.
  public let tensors: [LayerComparison]
  /// Layers and tensors that only one side has.
  public let onlyInFirst: [String]
  public let onlyInSecond: [String]
  /// What the zero points of both sides show of their versions.
  public let findings: [Finding]

  public var isEqual: Bool {
    layers.allSatisfy(\.isEqual) && differingTensors.isEmpty && onlyInFirst.isEmpty
      && onlyInSecond.isEmpty
  }

  /// Reads all of both in bands. Throws `io` or `malformed`.
  public init(
    _ a: Checkpoint, _ b: Checkpoint, _ options: Options = Options(),
    progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
  ) throws {
    let pairs = LayerPairs(a, b)
    layers = try pairs.compare(options, progress: progress)
    let dense = try DenseComparison(a, b, options)
    denseTensors = dense.count
    differingTensors = dense.differing
    tensors = dense.byValue
    (onlyInFirst, onlyInSecond) = (
      pairs.surplus(of: a, besides: b, \.first), pairs.surplus(of: b, besides: a, \.second)
    )
    findings = try [(a, options.firstVersion), (b, options.secondVersion)].compactMap {
      try $0.1 == nil ? ZeroForensics($0.0, .glance, threads: options.threads)?.finding : nil
    }
  }
}

extension CheckpointComparison {
  public var json: JSON {
    [
      "equal": .bool(isEqual),
      "layers": .array(layers.map(\.json)),
      "dense_tensors": .integer(denseTensors),
      "differing_tensors": .strings(differingTensors),
      "tensors": .array(
        tensors.map {
          [
            "name": .string($0.name), "equal": .bool($0.isEqual),
            "values": $0.values.map(\.json) ?? .null,
          ]
        }),
      "only_in_first": .strings(onlyInFirst),
      "only_in_second": .strings(onlyInSecond),
      "findings": .array(findings.map(\.json)),
    ]
  }
}

extension LayerComparison {
  public var json: JSON {
    [
      "name": .string(name), "equal": .bool(isEqual), "codes": .integer(codes),
      "differing_codes": .integer(differingCodes), "scales": .integer(scales),
      "differing_scales": .integer(differingScales), "zeros": .integer(zeros),
      "differing_zeros": .integer(differingZeros),
      "values": values.map(\.json) ?? .null,
      "mismatch": mismatch.map(JSON.string) ?? .null,
    ]
  }
}
