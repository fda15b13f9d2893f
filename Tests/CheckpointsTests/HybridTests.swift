import Checkpoints
import Containers
import Kernels
import TensorCore
import TestKit
import Testing

/// One checkpoint with layers of FP8, MXFP4 and dense ones, under a config that names one of them.
@Suite struct HybridTests {
  private let folder: TemporaryFolder
  private let fp8: ShardedTensors
  private let mxfp4: ShardedTensors

  init() throws {
    folder = try TemporaryFolder()
    fp8 = try ShardedTensors(opening: Fixtures.path("fp8/golden/layers/hf.safetensors"))
    mxfp4 = try ShardedTensors(opening: Fixtures.path("mxfp4/golden/layers/hf.safetensors"))
    var model = Model()
    for name in ["ue8m0.weight", "ue8m0.weight_scale_inv", "experts.gate_up_proj"] {
      try add(name, of: fp8, to: &model)
    }
    try add("experts.gate_up_proj_scale_inv", of: fp8, to: &model)
    for name in ["v4.weight", "v4.scale", Self.fused + "_blocks", Self.fused + "_scales"] {
      try add(name, of: mxfp4, to: &model)
    }
    model.addDense("model.norm.weight", [64])
    model.addDense("lm_head.weight", [5, 64])
    model.config = """
      {"model_type": "deepseek_v3", "quantization_config": {"quant_method": "fp8", \
      "fmt": "e4m3", "weight_block_size": [128, 128]}}
      """
    try model.write(to: folder.path("in"))
  }

  private static let fused = "model.layers.0.mlp.experts.gate_up_proj"

  private func add(_ name: String, of file: ShardedTensors, to model: inout Model) throws {
    let tensor = try #require(file[name])
    model.add(name, tensor.dtype, tensor.shape.dimensions, try Files.bytes(of: tensor))
  }

  @Test func everyLayerIsReadAsWhatItIs() throws {
    let source = try Checkpoint(opening: folder.path("in"))
    let layouts = Dictionary(grouping: source.layers, by: \.layout).mapValues(\.count)
    #expect(layouts == ["fp8": 3, "mxfp4": 4])
    #expect(!source.findings.contains { $0.severity == .error }, "\(source.findings)")
  }

  @Test func denseWeightsAreTheWriters() throws {
    let result = try Converted(folder.path("in"), to: "dense") { $0.target = .dense(.f32) }
    let places = [
      ("ue8m0.weight", fp8, "ue8m0.dequant"),
      ("experts.gate_up_proj", fp8, "experts.gate_up_proj.dequant"),
      ("v4.weight", mxfp4, "v4.dequant"), (Self.fused, mxfp4, Self.fused + ".dequant"),
    ]
    for (name, file, expected) in places {
      let written = try #require(result.output.tensors[name])
      let weights = try #require(file[expected])
      #expect(written.dtype == .f32)
      #expect(
        try mismatch(
          floats(of: Files.bytes(of: written)), floats(of: Files.bytes(of: weights)),
          by: .sameBits) == nil, "\(name)")
    }
    for name in ["model.norm.weight", "lm_head.weight"] {
      let copy = try #require(result.output.tensors[name])
      #expect(try Bytes.same(copy, #require(result.source.tensors[name])))
    }
    #expect(result.output.tensors.tensors.count == places.count + 2)
    #expect(result.output.layers.isEmpty)
  }
}
