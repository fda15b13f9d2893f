public import Codecs
internal import Containers
public import Kernels
public import TensorCore

/// Whether two checkpoints hold the same numbers, whatever layouts they are stored in.
public struct CheckpointComparison: Sendable {
  /// Layers that are packed in both.
  public let layers: [LayerComparison]
  /// Dense tensors in both, and those whose type, shape or bytes differ.
  public let denseTensors: Int
  public let differingTensors: [String]
  /// Layers and tensors that only one side has.
  public let onlyInFirst: [String]
  public let onlyInSecond: [String]

  public var isEqual: Bool {
    layers.allSatisfy(\.isEqual) && differingTensors.isEmpty && onlyInFirst.isEmpty
      && onlyInSecond.isEmpty
  }

  /// Reads all of both in bands. Throws `io` or `malformed`.
  public init(
    _ a: Checkpoint, _ b: Checkpoint, assume: ZeroRule? = nil, threads: Int = Processor.cores,
    progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
  ) throws {
    let pairs = try a.layers.compactMap { claim in
      try b.layer(named: claim.name).map {
        (a: try a.open(claim, assume: assume), b: try b.open($0, assume: assume))
      }
    }
    layers = try LayerComparer(pairs: pairs, threads: threads).run(progress: progress)
    let dense = a.denseTensors.compactMap { tensor in
      b.tensors[tensor.name].map { (a: tensor, b: $0) }
    }
    denseTensors = dense.count
    differingTensors = try TensorComparer(pairs: dense, threads: threads).run().map {
      dense[$0].a.name
    }
    (onlyInFirst, onlyInSecond) = Self.surplus(a, b)
  }

  private static func surplus(_ a: Checkpoint, _ b: Checkpoint) -> ([String], [String]) {
    let first = a.layers.map(\.name) + a.denseTensors.map(\.name)
    let second = b.layers.map(\.name) + b.denseTensors.map(\.name)
    let (inFirst, inSecond) = (Set(first), Set(second))
    return (first.filter { !inSecond.contains($0) }, second.filter { !inFirst.contains($0) })
  }
}

extension CheckpointComparison {
  public var json: JSON {
    [
      "equal": .bool(isEqual),
      "layers": .array(layers.map(\.json)),
      "dense_tensors": .integer(denseTensors),
      "differing_tensors": .strings(differingTensors),
      "only_in_first": .strings(onlyInFirst),
      "only_in_second": .strings(onlyInSecond),
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
      "mismatch": mismatch.map(JSON.string) ?? .null,
    ]
  }
}
