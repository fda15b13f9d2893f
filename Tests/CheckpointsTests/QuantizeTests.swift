import Checkpoints
import Codecs
import Containers
import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

/// Dense checkpoints quantized as transformers and bitsandbytes do it on the CPU: the same tensors, to
/// the last bit, and the same config.
@Suite struct QuantizeTests {
  private static let dense = Fixtures.path("quantizers/dense")

  private static func quantization(like name: String) throws -> Quantization {
    var made = try Quantization(method: name.hasPrefix("nf4") ? "bnb-nf4" : "bnb-fp4")
    made.rules = .cpu
    switch name {
    case "nf4-dq": (made.doubleQuantized, made.computeType) = (true, .bf16)
    case "fp4-bf16": made.storage = .bf16
    case "int8": made.method = .int8
    default: break
    }
    return made
  }

  private func quantized(
    _ path: String, _ quantization: Quantization, threads: Int = 2
  ) throws -> Converted {
    try Converted(path, to: "dense") { options in
      options.target = .quantized(quantization)
      options.threads = threads
    }
  }

  private func expectSame(_ output: Checkpoint, _ golden: String) throws {
    let known = try ShardedTensors(opening: golden).tensors
    #expect(output.tensors.tensors.map(\.info) == known.map(\.info))
    for tensor in known {
      let found = try #require(output.tensors[tensor.name])
      #expect(try content(found) == content(tensor), "\(tensor.name)")
    }
    let config = try JSON(
      parsing: FileSystem.contents(of: golden + "/config.json", limit: 1 << 20), at: golden)
    let written = output.config.model?.object["quantization_config"]
    #expect(written == config["quantization_config"])
  }

  @Test(arguments: ["nf4", "nf4-dq", "fp4-bf16", "int8"])
  func isThePeersOutput(name: String) throws {
    let result = try quantized(Self.dense, try Self.quantization(like: name))
    try expectSame(result.output, Fixtures.path("quantizers/\(name)"))
    #expect(result.plan.outputs.map(\.info) == result.output.tensors.tensors.map(\.info))
    #expect(result.report.quantized?.layers == 7)
    #expect(!result.report.isLossless)
    #expect(try result.besides.isEmpty)
  }

  @Test(
    .enabled(if: Fixtures.goldens != nil),
    arguments: [
      ("llama-nano", "bnb-llamanano-nf4", "nf4", DType.f16),
      ("llama-256", "bnb-llama256-nf4-dq", "nf4-dq", .bf16),
      ("opt-nano", "bnb-optnano-fp4", "fp4", .f32),
      ("llama-nano", "bnb-llamanano-int8", "int8", .f16),
    ])
  func isThePeersModel(model: String, golden: String, method: String, compute: DType) throws {
    let goldens = try #require(Fixtures.goldens)
    var quantization = try Self.quantization(like: method)
    quantization.computeType = compute
    let result = try quantized("\(goldens)/models/\(model)", quantization)
    try expectSame(result.output, "\(goldens)/\(golden)")
  }

  @Test(arguments: ["nf4", "nf4-dq", "int8"])
  func threadsChangeNothing(name: String) throws {
    var quantization = try Self.quantization(like: name)
    quantization.rules = .cuda
    let one = try quantized(Self.dense, quantization, threads: 1)
    let many = try quantized(Self.dense, quantization, threads: 5)
    #expect(try one.files == many.files)
  }

  /// A matrix of several bands and of a size no block divides, against its quantization in one go.
  @Test(arguments: [DType.f32, .f16, .bf16], [32, 4096])
  func bandsMeet(type: DType, block: Int) throws {
    let (rows, columns) = (1001, 1203)
    var random = SplitMix64(seed: 0xA1)
    let values = (0..<rows * columns).map { _ in Float.random(in: -1...1, using: &random) }
    let stored = try converted(values, to: type)
    let folder = try TemporaryFolder()
    try model(["a.q_proj.weight": (type, [rows, columns], stored)]).write(to: folder.path("m"))
    var quantization = Quantization(.nf4)
    quantization.blockSize = block
    quantization.rules = .cpu
    let result = try quantized(folder.path("m"), quantization)
    let exact = try widened(stored, type)
    let quantizer = try FourBit(.nf4, blockSize: block, rules: .cpu)
    var absmax = AlignedBytes(count: exact.count.dividedRoundingUp(by: block) * 4)
    var packed = AlignedBytes(count: (exact.count + 1) / 2)
    var most = absmax.mutableBytes
    var codes = packed.mutableBytes
    #expect(quantizer.absmax(exact.rawSpan, into: &most) == 0)
    quantizer.quantize(exact.rawSpan, absmax: most.bytes, into: &codes)
    let tensors = result.output.tensors
    let (weight, maxima) = (tensors["a.q_proj.weight"], tensors["a.q_proj.weight.absmax"])
    #expect(try content(#require(weight)) == packed.bytes.array)
    #expect(try content(#require(maxima)) == absmax.bytes.array)
  }

  @Test func skippedModulesAreNamedForTheLoader() throws {
    var quantization = Quantization(.nf4)
    quantization.skippedModules = ["down_proj", "model.layers.0.self_attn"]
    let result = try quantized(Self.dense, quantization)
    #expect(result.report.quantized?.layers == 2)
    let list = result.output.config.model?.object["quantization_config"]?["llm_int8_skip_modules"]
    #expect(list == .strings(["down_proj", "model.layers.0.self_attn", "lm_head"]))
    let kept = try #require(result.output.tensors["model.layers.0.mlp.down_proj.weight"])
    #expect(kept.dtype == .f16)
  }

  @Test(
    arguments: ["bnb-nf4", "bnb-int8"],
    [(Float.nan, "nan"), (.infinity, "inf"), (-.infinity, "-inf")] as [(Float, String)])
  func whatIsNotFiniteIsNamed(method: String, wrong: (value: Float, name: String)) throws {
    var values = [Float](repeating: 0.5, count: 64 * 96)
    values[37 * 96 + 11] = wrong.value
    let folder = try TemporaryFolder()
    try model(["a.q_proj.weight": (.f32, [64, 96], bytes(of: values))]).write(
      to: folder.path("m"))
    var quantization = try Quantization(method: method)
    let failure = try #require(throws: Failure.self) {
      try pour(folder.path("m"), quantization, to: folder.path("out"))
    }
    #expect(failure.kind == .cannotRepresent && failure.rule == "BNB-48")
    #expect(failure.found == "\(wrong.name) at [37, 11]" && failure.place.contains("a.q_proj"))
    #expect(try folder.names() == ["m"])
    quantization.allowsNonFinite = true
    try pour(folder.path("m"), quantization, to: folder.path("out"))
    #expect(try folder.names() == ["m", "out"])
  }

  /// Double quantization reads the weights while planning: nothing is begun.
  @Test func whatIsNotFiniteIsFoundWhilePlanning() throws {
    let folder = try TemporaryFolder()
    let values = [Float](repeating: .nan, count: 64)
    try model(["a.q_proj.weight": (.f32, [1, 64], bytes(of: values))]).write(to: folder.path("m"))
    var quantization = Quantization(.nf4)
    quantization.doubleQuantized = true
    let source = try Checkpoint(opening: folder.path("m"))
    #expect(throws: Failure.self) {
      try ConversionPlan(source, ConversionOptions(target: .quantized(quantization)))
    }
  }

  @Test func numbersBeyondFloat16AreRefused() throws {
    let folder = try TemporaryFolder()
    let values = [Float](repeating: 70000, count: 64)
    try model(["a.q_proj.weight": (.f32, [1, 64], bytes(of: values))]).write(to: folder.path("m"))
    let failure = try #require(throws: Failure.self) {
      try pour(folder.path("m"), Quantization(.int8), to: folder.path("out"))
    }
    #expect(failure.kind == .cannotRepresent && failure.rule == "BNB-20")
  }

  @Test func settingsThatNameNothing() throws {
    #expect(throws: Failure.self) { try Quantization(method: "nf5") }
    let changes: [(Quantization.Method, (inout Quantization) -> Void)] = [
      (.nf4, { $0.blockSize = 48 }), (.nf4, { $0.storage = .i64 }),
      (.nf4, { $0.skippedModules = ["nothing_like_it"] }),
      (.nf4, { $0.skippedModules = ["(a|b)"] }), (.int8, { $0.blockSize = 128 }),
      (.int8, { $0.doubleQuantized = true }),
    ]
    for (method, change) in changes {
      var quantization = Quantization(method)
      change(&quantization)
      let failure = try #require(throws: Failure.self) {
        try plan(Self.dense, quantization)
      }
      #expect(failure.kind == .usage, "\(failure)")
    }
  }

  @Test func packedCodesFillWholeElements() throws {
    let folder = try TemporaryFolder()
    let values = [Float](repeating: 1, count: 18)
    try model(["a.q_proj.weight": (.f32, [3, 6], bytes(of: values))]).write(to: folder.path("m"))
    var quantization = Quantization(.nf4)
    quantization.storage = .f32
    let failure = try #require(throws: Failure.self) { try plan(folder.path("m"), quantization) }
    #expect(failure.rule == "BNB-11")
  }

  @Test func sourcesThatAreNoneAreRefused() throws {
    let folder = try TemporaryFolder()
    let matrix = (DType.f16, [2, 2], [UInt8](repeating: 0, count: 8))
    let cases: [(String, [String: (DType, [Int], [UInt8])], String)] = [
      (#"{"model_type": "gpt2"}"#, ["h.0.attn.c_attn.weight": matrix], "BNB-52"),
      (#"{"model_type": "falcon"}"#, ["h.0.q.weight": matrix], "BNB-52"),
      (#"{"model_type": "mixtral"}"#, ["m.experts.0.w1.weight": matrix], "BNB-53"),
      (#"{"model_type": "llama"}"#, ["model.embed_tokens.weight": matrix], "BNB-50"),
      (
        #"{"quantization_config": {"quant_method": "bitsandbytes"}}"#, ["a.q_proj.weight": matrix],
        "BNB-50"
      ),
    ]
    for (index, (config, tensors, rule)) in cases.enumerated() {
      var model = model(tensors)
      model.config = config
      try model.write(to: folder.path("\(index)"))
      let failure = try #require(throws: Failure.self) {
        try plan(folder.path("\(index)"), Quantization(.nf4))
      }
      #expect(failure.kind == .unsupported && failure.rule == rule, "\(failure)")
    }
    let failure = try #require(throws: Failure.self) {
      try plan(Fixtures.path("demo-model"), Quantization(.nf4))
    }
    #expect(failure.kind == .unsupported)
  }

  private func content(_ tensor: Tensor) throws -> [UInt8] {
    let block = try tensor.contents()
    return block.bytes.array
  }

  private func plan(_ path: String, _ quantization: Quantization) throws -> ConversionPlan {
    var options = ConversionOptions(target: .quantized(quantization))
    options.sync = false
    return try ConversionPlan(Checkpoint(opening: path), options)
  }

  private func pour(_ path: String, _ quantization: Quantization, to output: String) throws {
    _ = try plan(path, quantization).pour(to: output)
  }

  private func model(_ tensors: [String: (DType, [Int], [UInt8])]) -> Model {
    var model = Model()
    for (name, tensor) in tensors { model.add(name, tensor.0, tensor.1, tensor.2) }
    model.config = #"{"model_type": "llama"}"#
    return model
  }

  private func converted(_ values: [Float], to type: DType) throws -> [UInt8] {
    var block = AlignedBytes(count: values.count * type.bits / 8)
    var span = block.mutableBytes
    try FloatConversion.fromFloat32(type, values.rawSpan, into: &span)
    return block.bytes.array
  }

  private func widened(_ stored: [UInt8], _ type: DType) throws -> [Float] {
    var block = AlignedBytes(count: stored.count * 32 / type.bits)
    var span = block.mutableBytes
    try FloatConversion.toFloat32(type, stored.rawSpan, into: &span)
    return floats(of: block.bytes.array)
  }
}
