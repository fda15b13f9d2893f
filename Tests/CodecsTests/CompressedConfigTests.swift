import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// The dialect of compressed-tensors: groups, targets and what is ignored.
@Suite struct CompressedConfigTests {
  static let codec = CompressedTensors()

  private func scheme(_ text: String) throws -> Scheme? {
    let json = try JSON(parsing: Array(text.utf8), at: "test")
    return try Self.codec.scheme(from: json.object ?? JSONObject())
  }

  private func weights(_ keys: String) -> String {
    #"{"targets": ["Linear"], "weights": {"type": "int", "dynamic": false, \#(keys)}}"#
  }

  private func config(_ groups: String, _ rest: String = #""ignore": ["lm_head"]"#) -> String {
    #"{"quant_method": "compressed-tensors", "config_groups": {\#(groups)}, \#(rest)}"#
  }

  @Test func namesGoBeforeExpressionsAndThoseBeforeClasses() throws {
    let scheme = try #require(
      try scheme(
        config(
          """
          "a": {"targets": ["re:.*mlp.*"],
                "weights": {"num_bits": 8, "strategy": "channel", "symmetric": true}},
          "b": {"targets": ["Linear"],
                "weights": {"num_bits": 4, "group_size": 32, "symmetric": false}},
          "c": {"targets": ["x.mlp.up"],
                "weights": {"num_bits": 3, "group_size": 64, "strategy": "group",
                            "actorder": "group"}}
          """, #""ignore": ["lm_head", "re:.*router"], "version": "0.12.2", "format": "dense""#)))
    let rules = scheme.rules()
    #expect(scheme.writer == "compressed-tensors:0.12.2")
    #expect(rules.settings(for: "x.attn.q")?.bits == 4)
    #expect(rules.settings(for: "x.attn.q")?.symmetric == false)
    #expect(rules.settings(for: "x.attn.q")?.groupSize == 32)
    #expect(rules.settings(for: "x.mlp.down")?.bits == 8)
    #expect(rules.settings(for: "x.mlp.down")?.groupSize == -1)
    #expect(rules.settings(for: "x.mlp.up")?.bits == 3)
    #expect(rules.settings(for: "x.mlp.up")?.actOrder == true)
    #expect(rules.settings(for: "lm_head") == nil)
    #expect(rules.settings(for: "x.mlp.router") == nil)
  }

  @Test func withoutAClassTheRestIsDense() throws {
    let scheme = try #require(
      try scheme(config(#""a": {"targets": ["x.q"], "weights": {"num_bits": 4}}"#)))
    #expect(scheme.rules().settings(for: "x.q")?.bits == 4)
    #expect(scheme.rules().settings(for: "x.k") == nil)
  }

  @Test(arguments: [
    ("W4A16", 4, 128, true, "pack-quantized"), ("w4a16_asym", 4, 128, false, "pack-quantized"),
    ("W8A8", 8, -1, true, "int-quantized"), ("W3A16", 3, 128, true, "pack-quantized"),
    ("NVFP4", 4, 16, true, "nvfp4-pack-quantized"), ("FP8_DYNAMIC", 8, -1, true, "float-quantized"),
  ])
  func presets(name: String, bits: Int, size: Int, symmetric: Bool, format: String) throws {
    let settings = try scheme(config(#""\#(name)": ["Linear"]"#))?.defaults
    #expect(settings?.bits == bits && settings?.groupSize == size)
    #expect(settings?.symmetric == symmetric)
    #expect(settings?.dialect["format"]?.string == format)
  }

  @Test(arguments: [
    (#""transform_config": {"config_groups": {"u": {}}}"#, "CT-13", Failure.Kind.unsupported),
    (#""sparsity_config": {"format": "sparse-24-bitmask"}"#, "CT-13", .unsupported),
    (#""format": "marlin-24""#, "CT-13", .unsupported),
    (#""format": 4"#, "CT-10", .malformed), (#""ignore": "lm_head""#, "CT-10", .malformed),
    (#""ignore": [1]"#, "CT-10", .malformed), (#""ignore": ["re:("]"#, "CT-11", .malformed),
  ])
  func whatIsNotReadIsNamed(key: String, rule: String, kind: Failure.Kind) throws {
    let text = config(#""a": \#(weights(#""num_bits": 4"#))"#, key)
    let failure = #expect(throws: Failure.self) { try scheme(text) }
    #expect(failure?.rule == rule && failure?.kind == kind)
  }

  @Test(arguments: [
    #""a": 1"#, #""a": {"targets": "Linear", "weights": {}}"#, #""a": {"weights": 4}"#,
    #""a": {"targets": ["Linear"], "weights": {"num_bits": "4"}}"#, #""W9A16": ["Linear"]"#,
    #""a": {"targets": ["Linear"], "weights": {"strategy": "attn_head"}}"#, #""NEW": ["Linear"]"#,
  ])
  func brokenGroupsAreRefused(groups: String) throws {
    let failure = #expect(throws: Failure.self) { try scheme(config(groups)) }
    #expect(["CT-10", "CT-13"].contains(failure?.rule))
  }

  @Test func anEmptyTransformIsNone() throws {
    let text = config(#""a": \#(weights(#""num_bits": 4"#))"#, #""transform_config": {}"#)
    #expect(try scheme(text) != nil)
    #expect(try scheme(#"{"quant_method": "gptq", "bits": 4}"#) == nil)
  }

  /// What is written is read back as the same rules, exceptions as groups of their own.
  @Test func writtenConfigsAreReadAlike() throws {
    let usual = Scheme.Settings(bits: 4, groupSize: 128, symmetric: true)
    let other = Scheme.Settings(bits: 8, groupSize: -1, symmetric: false)
    let moved = Scheme.Settings(bits: 4, groupSize: 128, symmetric: true, actOrder: true)
    let written = Scheme(
      layout: "compressed-tensors", defaults: usual,
      overrides: [
        .init(.exactly("x.a"), other), .init(.exactly("x.b"), moved), .init(.exactly("x.c"), other),
        .init(.exactly("x.d"), nil), .init(.contains("embed"), nil),
      ])
    let config = try Self.codec.config(for: written)
    #expect(config["config_groups"]?.object?.keys == ["group_0", "group_1", "group_2"])
    #expect(config["format"]?.string == "pack-quantized")
    #expect(config["quantization_status"]?.string == "compressed")
    let read = try #require(try Self.codec.scheme(from: config)).rules()
    let plain: (String) -> Scheme.Settings? = { name in
      var settings = read.settings(for: name)
      settings?.dialect = JSONObject()
      return settings
    }
    #expect(plain("x.y") == usual)
    #expect(plain("x.a") == other && plain("x.c") == other)
    #expect(plain("x.b") == moved)
    for dense in ["x.d", "model.embed_tokens", "lm_head"] { #expect(plain(dense) == nil) }
  }

  /// The inputs' quantization and the format are kept where the layout stays the same.
  @Test func ownWordsOfGroupsAreKept() throws {
    let golden = try #require(
      try Golden.fixtures("compressed-tensors").first { "\($0)" == "ct-optnano-int8-w8a8" })
    let config = try Self.codec.config(for: golden.scheme)
    let group = config["config_groups"]?["group_0"]
    #expect(group?["format"]?.string == "int-quantized")
    #expect(group?["input_activations"]?["strategy"]?.string == "token")
  }

  private static func tensors(
    packed: [Int] = [8, 4], type: DType = .i32, scale: [Int] = [8, 2], scaleType: DType = .f16,
    numbers: [UInt8] = [8, 0, 0, 0, 32, 0, 0, 0], zeros: [Int]? = nil, index: [Int]? = nil
  ) throws -> [Tensor] {
    func zeroed(_ part: String, _ type: DType, _ shape: [Int]) throws -> Tensor {
      let count = shape.reduce(1, *) * type.bits / 8
      return try .made("layer.\(part)", type, shape, [UInt8](repeating: 0, count: count))
    }
    var tensors = [
      try zeroed("weight_packed", type, packed), try zeroed("weight_scale", scaleType, scale),
      try Tensor.made("layer.weight_shape", .i32, [numbers.count / 4], numbers),
    ]
    if let zeros { tensors.append(try zeroed("weight_zero_point", .i32, zeros)) }
    if let index { tensors.append(try zeroed("weight_g_idx", .i32, index)) }
    return tensors
  }

  private func rule(_ tensors: [Tensor]) -> String? {
    let settings = Scheme.Settings(bits: 4, groupSize: 16, symmetric: true)
    let scheme = Scheme(layout: "compressed-tensors", defaults: settings)
    do {
      let claims = try Self.codec.claims(
        "layer", in: TensorTable(tensors), declared: Declared(scheme: scheme, settings: settings))
      return claims.first?.findings.first?.failure.rule
    } catch {
      return (error as? Failure)?.rule ?? "\(error)"
    }
  }

  /// Shapes of any kind give a rule, never a trap.
  @Test func hostileShapes() throws {
    typealias Make = CompressedConfigTests
    #expect(rule(try Make.tensors()) == nil)
    #expect(rule(Array(try Make.tensors().dropLast())) == "CT-1")
    #expect(rule([try Make.tensors()[0], try Make.tensors()[2]]) == "CT-1")
    #expect(rule(try Make.tensors(packed: [32])) == "CT-1")
    #expect(rule(try Make.tensors(packed: [0, 4])) == "CT-1")
    #expect(rule(try Make.tensors(packed: [8, 9])) == "CT-2")
    #expect(rule(try Make.tensors(packed: [8, 8])) == "CT-2")
    #expect(rule(try Make.tensors(numbers: [9, 0, 0, 0, 32, 0, 0, 0])) == "CT-3")
    #expect(rule(try Make.tensors(numbers: [8, 0, 0, 0])) == "CT-3")
    #expect(rule(try Make.tensors(numbers: [8, 0, 0, 0, 0, 0, 0, 0])) == "CT-3")
    #expect(rule(try Make.tensors(numbers: [8, 0, 0, 0, 255, 255, 255, 255])) == "CT-2")
    #expect(rule(try Make.tensors(scale: [7, 2])) == "CT-4")
    #expect(rule(try Make.tensors(scale: [8, 0])) == "CT-4")
    #expect(rule(try Make.tensors(scale: [8, 33])) == "CT-4")
    #expect(rule(try Make.tensors(scaleType: .i16)) == "CT-4")
    #expect(rule(try Make.tensors(scale: [8, 3])) == "CT-5")
    #expect(rule(try Make.tensors(scale: [8, 4])) == "CT-5")
    #expect(rule(try Make.tensors(zeros: [2, 2])) == "CT-6")
    #expect(rule(try Make.tensors(zeros: [1, 2])) == nil)
    #expect(rule(try Make.tensors(index: [31])) == "CT-7")
  }
}
