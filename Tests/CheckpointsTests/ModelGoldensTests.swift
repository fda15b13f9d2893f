import Checkpoints
import Kernels
import Models
import TensorCore
import TestKit
import Testing

/// Every full-sized checkpoint whose model is known, beside its peer's logits, text and native run, where
/// `NIBBLE_GOLDENS` names their folder.
///
/// The expected logits are those of transformers in F32 with the weights that the peer decoded (`GoldenModel`). They
/// agree within 2e-4, but for AutoAWQ's: 2e-3. Those were computed with the norms that AutoAWQ had made in F32, and its
/// file holds them in F16: norms within half of F16's steps of the file's bring the logits to the golden's.
/// NVFP4's agree within 2e-4 with weights rounded to BF16, as its decoder hands them out, and within 2e-2 with those of
/// the file, which are not rounded.
///
/// `native_logits_prompt_last` is the peer's own run in its 16-bit type; with the activations of the config it
/// lies within 1e-2 of the largest logit. Two of those have a reason besides the type: OPT hands its feed-forward
/// layers two dimensions, for which compressed-tensors finds one scale for all tokens instead of one for
/// each, as other loaders and this package do; and LLM.int8() in F16, which is no nearer to these activations than
/// to float ones.
@Suite struct ModelGoldensTests {
  @Test func logitsAndTextAreThePeers() throws {
    guard let root = Fixtures.goldens else {
      print("skipped: logits of all goldens; NIBBLE_GOLDENS names no folder")
      return
    }
    var (checked, skipped) = (0, 0)
    let dense = try FileSystem.names(in: root + "/models").map { "models/" + $0 }
    for name in try FileSystem.names(in: root) + dense {
      let path = root + "/" + name
      guard FileSystem.kind(of: path + "/config.json") == .file,
        FileSystem.kind(of: path + "/expected.safetensors") == .file
      else {
        skipped += 1
        continue
      }
      try check(ModelLogits(path), name)
      checked += 1
    }
    #expect(checked > 0)
    print("checked the logits of \(checked) goldens, skipped \(skipped) folders without logits")
  }

  private func check(_ golden: ModelLogits, _ name: String) throws {
    let opened = try GoldenModel(golden.path)
    let checkpoint = opened.packed
    let json = try golden.facts()
    let model = try opened.checkpoint.model(on: CPUCompute())
    let difference = try logitDifference(golden, model)
    let text = try Self.text(json, model, within: difference)
    let native = try nativeDifference(golden, json, checkpoint, .config)
    #expect(difference < Self.tolerance(json), "\(name)")
    let packed = try checkpoint.model(on: CPUCompute())
    #expect(try logitDifference(golden, packed) < Self.packedTolerance(json, checkpoint))
    #expect(text == nil, "\(name): \(text ?? "")")
    #expect(native ?? 0 < 1e-2, "\(name)")
    let float = try nativeDifference(golden, json, checkpoint, .float)
    let figures = [native, float].map { $0.map { "\($0)" } ?? "–" }.joined(separator: " | ")
    print("\(name) | \(difference) | \(text ?? "32 tokens equal") | \(figures)")
  }

  private static func tolerance(_ json: JSON) -> Float {
    json["extra"]?["packed_scales"]?.string == "float16" ? 2e-3 : 2e-4
  }

  private static func packedTolerance(_ json: JSON, _ checkpoint: Checkpoint) -> Float {
    checkpoint.layers.contains { $0.layout == "nvfp4" } ? 2e-2 : tolerance(json)
  }

  private func logitDifference(_ golden: ModelLogits, _ model: CausalModel) throws -> Float {
    let ids = try golden.integers("input_ids")
    let logits = try model.logits(ids, model.makeState(capacity: ids.count))
    let width = model.vocabularySize
    var positions = try golden.integers("logit_positions")
    if positions.isEmpty { positions = ids.indices.map(Int32.init) }
    let rows = positions.flatMap {
      logits[Int($0) * width..<(Int($0) + 1) * width]
    }
    return try ModelLogits.difference(rows, golden.floats("logits"))
  }

  /// What differs in 32 greedy tokens, until one whose two best logits are nearer to each other than the
  /// error; nil where nothing does.
  private static func text(
    _ json: JSON, _ model: CausalModel, within error: Float
  ) throws -> String? {
    let prompt = json["prompt_ids"]?.array?.compactMap(\.int).map(Int32.init) ?? []
    let expected = json["generated_ids"]?.array?.compactMap(\.int) ?? []
    let gaps = json["greedy_gaps"]?.array?.compactMap(\.double) ?? []
    let state = try model.makeState(capacity: prompt.count + expected.count)
    var logits = try model.logits(prompt, state, rows: .last)
    for (index, token) in expected.enumerated() {
      let best = logits.indices.max { logits[$0] < logits[$1] } ?? 0
      if best != token {
        return gaps[index] <= 2 * Double(error) ? nil : "token \(index): \(best) for \(token)"
      }
      if index + 1 < expected.count {
        logits = try model.logits([Int32(best)], state, rows: .last)
      }
    }
    return nil
  }

  /// From the peer's own run, in parts of its largest logit; nil where there is none.
  private func nativeDifference(
    _ golden: ModelLogits, _ json: JSON, _ checkpoint: Checkpoint, _ activations: ActivationChoice
  ) throws -> Float? {
    let native = try golden.floats("part:native_logits_prompt_last")
    guard !native.isEmpty else { return nil }
    let prompt = json["prompt_ids"]?.array?.compactMap(\.int).map(Int32.init) ?? []
    let model = try checkpoint.model(on: CPUCompute(), activations: activations)
    let logits = try model.logits(
      prompt, model.makeState(capacity: prompt.count), rows: .last)
    let largest = native.reduce(0) { max($0, $1.magnitude) }
    return ModelLogits.difference(logits, native) / largest
  }
}

extension ModelLogits {
  /// What `expected.json` says of the golden.
  fileprivate func facts() throws -> JSON {
    try JSON(
      parsing: FileSystem.contents(of: path + "/expected.json", limit: 1 << 24), at: path)
  }
}
