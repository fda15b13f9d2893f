import Codecs
import Kernels

extension Runtime {
  /// SGLang: Marlin where it fits, and kernels of its own behind it (SGL-n).
  static let sglang = Runtime(
    name: "sglang",
    rules: [
      .declared("SGL-1"),
      .keys("SGL-2", Marlin.keys),
    ]
      + RuntimeRule.layouts(
        "SGL-3",
        read: ["gptq", "gptq_v2", "awq", "compressed-tensors", "fp8", "mxfp4", "mxfp8", "nvfp4"],
        refused: Layouts.awqVariants.union(["mlx"]), remedy: "nibble convert --to awq or gptq"
      ) + [
        halfPrecision("SGL-4"),
        .honestSymmetry("SGL-5"),
        channels("SGL-6"),
        .declaredActOrder("SGL-7"),
        .heads("SGL-8"),
        .wholeGroups("SGL-9"),
        .wholeWords("SGL-10"),
        repacked("SGL-11"),
        shallow("SGL-12"),
        Marlin.actOrderRanks("SGL-13"),
        .uniformFused("SGL-14"),
        .uniformExperts("SGL-15"),
        .head("SGL-16"),
        Marlin.castScales("SGL-17"),
        Marlin.groupSizes("SGL-18", of: ["awq"], .warning),
        Marlin.zeroPoint("SGL-19"),
      ])

  private static func halfPrecision(_ id: String) -> RuntimeRule {
    .layers(
      id, .warning, of: Layouts.gptq,
      "not for Marlin: the kernels behind it compute in float16 only",
      expected: "4 or 8 bits, sym true, group_size 32, 64, 128 or -1; or float16",
      remedy: "start it with --dtype float16"
    ) { layer, model in
      guard !Marlin.takes(layer, model), model.denseType != .f16 else { return nil }
      return "\(layer.form.grid.bits) bits, group_size \(layer.groupSize)"
    }
  }

  private static func channels(_ id: String) -> RuntimeRule {
    .layers(
      id, of: Layouts.gptq, "no kernel for experts outside of Marlin",
      expected: "4 or 8 bits, sym true, group_size 32, 64, 128 or -1"
    ) { layer, model in
      guard layer.isExpert, !Marlin.takes(layer, model) else { return nil }
      return "\(layer.form.grid.bits) bits, group_size \(layer.groupSize)"
    }
  }

  /// The repacking kernel stops at tiles of 16 × 64.
  private static func repacked(_ id: String) -> RuntimeRule {
    .ranks(
      id, of: Layouts.gptq, "layers can't be repacked for Marlin, and nothing stands behind it",
      expected: "inputs of each rank in 16s, joined outputs in 64s", remedy: "another --tp"
    ) { layer, model, ranks in
      guard Marlin.takes(layer, model), !layer.isExpert,
        let inputs = model.inputs(of: layer, on: ranks),
        let outputs = model.joinedOutputs(of: layer, on: ranks),
        inputs % 16 != 0 || outputs % 64 != 0
      else { return nil }
      return "\(inputs) inputs and \(outputs) outputs"
    }
  }

  /// Its check of Marlin's shapes drops the answer for GPTQ, and falls back for AWQ.
  private static func shallow(_ id: String) -> RuntimeRule {
    .ranks(
      id, .warning, of: ["gptq", "gptq_v2", "awq"],
      "layers are outside of the shapes that Marlin's own check allows",
      expected: "inputs of each rank in 128s, joined outputs in 64s"
    ) { layer, model, ranks in
      Marlin.takes(layer, model) || layer.claim.layout == "awq"
        ? Marlin.misfit(layer, model, ranks) : nil
    }
  }
}
