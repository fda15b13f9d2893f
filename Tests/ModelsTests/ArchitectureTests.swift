import Kernels
import TensorCore
import Testing

@testable import Models

struct ArchitectureTests {
  @Test func anUnknownArchitectureIsNamedBesideTheKnownOnes() throws {
    let config = JSONObject(["architectures": ["FooForCausalLM"], "model_type": "llama"])
    let failure = #expect(throws: Failure.self) {
      try Architecture.find(ConfigFields(object: config, path: "config.json"))
    }
    #expect(failure?.kind == .unsupported)
    #expect(failure?.description.contains("found FooForCausalLM") == true)
    #expect(failure?.expected?.contains("OPTForCausalLM") == true)
  }

  @Test func aModelTypeStandsInForMissingArchitectures() throws {
    let config = JSONObject(["model_type": "mistral"])
    let found = try Architecture.find(ConfigFields(object: config, path: ""))
    #expect(found.names.contains("MistralForCausalLM"))
  }

  @Test func namesAreUnique() {
    let names = Architecture.all.flatMap(\.names)
    let types = Architecture.all.flatMap(\.modelTypes)
    #expect(Set(names).count == names.count)
    #expect(Set(types).count == types.count)
  }

  @Test func theTableOfOPTIsInOrderOfExecution() throws {
    let block = try TinyModel.blueprint(TinyModel.opt).blocks[0]
    let names = block.inputGroups.map { $0.map { $0.name.split(separator: ".").last! } }
    #expect(names == [["q_proj", "k_proj", "v_proj"], ["out_proj"], ["fc1"], ["fc2"]])
    let sites = block.foldSites.map { "\($0.linears.map { $0.split(separator: ".").last! })" }
    #expect(
      sites == [#"["q_proj", "k_proj", "v_proj"]"#, #"["out_proj"]"#, #"["fc1"]"#, #"["fc2"]"#])
  }

  @Test func normsAfterAdditionsKeepTheirScales() throws {
    var config = TinyModel.opt
    config["do_layer_norm_before"] = false
    let block = try TinyModel.blueprint(config).blocks[0]
    #expect(block.foldSites.count == 2)
  }

  @Test func sharedValuesAreNotFolded() throws {
    var config = TinyModel.llama
    #expect(try TinyModel.blueprint(config).blocks[0].foldSites.count == 4)
    config["num_key_value_heads"] = 1
    #expect(try TinyModel.blueprint(config).blocks[0].foldSites.count == 3)
  }

  @Test func expertsShareTheNormWithTheirRouter() throws {
    var config = TinyModel.llama
    config["architectures"] = ["MixtralForCausalLM"]
    config["num_local_experts"] = 3
    let block = try TinyModel.blueprint(config).blocks[0]
    let norm = block.foldSites.first { $0.parent.hasSuffix("block_sparse_moe") }
    #expect(norm?.linears.count == 7)
    #expect(norm?.linears.last?.hasSuffix("block_sparse_moe.gate") == true)
    #expect(!block.inputGroups.joined().contains { $0.name.hasSuffix(".gate") })
  }

  @Test func tensorsMayStandBareOrInsideOfAnother() throws {
    for prefix in ["model.", ""] {
      let names: Set = [prefix + "embed_tokens.weight"]
      let fields = ConfigFields(object: TinyModel.llama, path: "")
      let blueprint = try Architecture.llama.makeBlueprint(fields, names)
      #expect(blueprint.blocks[0].name == prefix + "layers.0")
    }
  }
}
