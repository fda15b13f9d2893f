import Checkpoints
import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// What must hold of every conversion, whatever its two layouts.
enum Laws {
  /// Laws 2, 3 and 7: the numbers are those of `origin`, what was planned was written, and every
  /// source tensor is accounted for.
  static func check(_ result: Converted, numbersOf origin: Checkpoint) throws {
    try expectPredicted(result)
    try expectAccountedFor(result)
    #expect(result.output.findings.isEmpty, "\(result.output.findings)")
    #expect(result.report.layers.allSatisfy { $0.isEqual })
    #expect(try result.besides.isEmpty)
    for claim in origin.layers {
      let copy = try #require(result.output.layer(named: claim.name))
      try expectSameNumbers(result.output.open(copy), origin.open(claim))
    }
  }

  /// Law 2. Terms that are −(z·s) rounded must give the zero points back; MLX takes them as they are.
  private static func expectSameNumbers(
    _ copy: any PackedLayer, _ source: any PackedLayer
  ) throws {
    let isTerms = copy.claim.layout == "mlx"
    let numbers = try QuantizedMatrix(isTerms ? source : withZeros(source))
    let written = try QuantizedMatrix(isTerms ? copy : withZeros(copy))
    #expect(
      written.codes == numbers.codes && written.zeros.count == (isTerms ? 0 : numbers.zeros.count))
    #expect(mismatch(written.dequantized(), numbers.dequantized(), by: .sameBits) == nil)
  }

  private static func withZeros(_ layer: any PackedLayer) throws -> any PackedLayer {
    guard case .added = layer.form.offset else { return layer }
    return try RecoveredZeros(layer, Workspace())
  }

  /// Law 3.
  static func expectPredicted(_ result: Converted) throws {
    let plan = result.plan
    #expect(plan.outputs.map(\.info) == result.output.tensors.tensors.map(\.info))
    #expect(plan.shards.shards.map(\.name) == result.output.tensors.files.map(\.name))
    #expect(plan.shards.shards.map(\.layout.byteCount) == result.output.tensors.files.map(\.size))
    #expect(plan.shards.totalSize == plan.outputs.reduce(0) { $0 + $1.info.byteCount })
    #expect(result.report.byteCount == plan.shards.totalSize)
    let index = plan.shards.index == nil ? [] : [plan.shards.indexName]
    let names = plan.shards.shards.map(\.name) + plan.configs.map(\.name) + index
    #expect(try Set(result.files.keys) == Set(names + plan.sideFiles.carried))
    for config in plan.configs { #expect(try result.files[config.name] == config.bytes) }
  }

  /// Law 7: dense tensors byte for byte, all others as parts of layers.
  static func expectAccountedFor(_ result: Converted) throws {
    let dense = result.source.denseTensors
    let packed = result.source.layers.flatMap { $0.parts.values.map(\.name) }
    let names = result.source.tensors.tensors.map(\.name)
    #expect(Set(dense.map(\.name) + packed) == Set(names))
    #expect(dense.count + packed.count == names.count)
    #expect(result.output.denseTensors.map(\.info) == dense.map(\.info))
    for (copy, tensor) in zip(result.output.denseTensors, dense) {
      #expect(try Bytes.same(copy, tensor))
    }
    #expect(result.output.layers.map(\.name) == result.source.layers.map(\.name))
    #expect(result.report.carriedTensors == dense.count)
  }
}
