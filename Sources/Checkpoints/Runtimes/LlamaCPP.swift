import Codecs
import Kernels

extension Runtime {
  /// llama.cpp's converter to GGUF, which dequantizes what it can read (LCPP-n).
  static let llamaCPP = Runtime(
    name: "llama.cpp",
    rules: [
      .declared("LCPP-1")
    ]
      + RuntimeRule.layouts(
        "LCPP-2", read: ["gptq", "gptq_v2", "compressed-tensors", "fp8", "nvfp4"],
        refused: Layouts.awqVariants.union(["awq", "mlx", "hqq"]),
        remedy: "nibble convert --to gptq_v2, or --to dense"
      ) + [
        groupIndex("LCPP-3"),
        widths("LCPP-4"),
        oneWidth("LCPP-5"),
        fullFields("LCPP-6"),
        checkpointFormat("LCPP-7"),
        strategy("LCPP-8"),
        oneGroup("LCPP-9"),
        padded("LCPP-10"),
      ])

  private static func groupIndex(_ id: String) -> RuntimeRule {
    .layers(
      id, of: Layouts.gptq, "every layer needs a g_idx", expected: "a g_idx tensor",
      remedy: "nibble convert --to gptq_v2 writes one"
    ) { layer, _ in
      layer.claim.parts["g_idx"] == nil ? "no g_idx" : nil
    }
  }

  private static func widths(_ id: String) -> RuntimeRule {
    .layers(
      id, of: Layouts.gptq, "these codes are not dequantized", expected: "2, 4 or 8 bits",
      remedy: "nibble convert --to dense"
    ) { layer, _ in
      layer.form.grid.bits == 3 ? "3 bits" : nil
    }
  }

  private static func oneWidth(_ id: String) -> RuntimeRule {
    .layers(
      id, of: Layouts.gptq, "the config's bits are taken for all layers",
      expected: "one width", remedy: "nibble convert --to dense"
    ) { layer, model in
      guard let bits = model.quantization?["bits"]?.int, bits != layer.form.grid.bits else {
        return nil
      }
      return "\(layer.form.grid.bits) bits"
    }
  }

  /// One is added to version 1 fields without a mask: GPTQ-12 read as `carry`.
  private static func fullFields(_ id: String) -> RuntimeRule {
    .layers(
      id, .warning, of: ["gptq"], "full zero-point fields are read as the number after the last",
      expected: "zero points above 0", remedy: "nibble convert --to gptq_v2"
    ) { layer, _ in
      if layer.facts.ambiguous > 0 { return "\(layer.facts.ambiguous) full fields" }
      return layer.facts.zeros?.lowerBound == 0 ? "zero points of 0" : nil
    }
  }

  /// Only this key is read, and only `gptq` means version 1.
  private static func checkpointFormat(_ id: String) -> RuntimeRule {
    .layers(
      id, of: Layouts.gptq, "checkpoint_format decides on the version, no other key does",
      expected: "gptq or nothing for version 1, another word for version 2"
    ) { layer, model in
      let format = model.quantization?["checkpoint_format"]?.string
      let isFirst = (format ?? "gptq") == "gptq"
      guard isFirst != (layer.claim.layout == "gptq") else { return nil }
      return "\(layer.claim.layout) under checkpoint_format \(format ?? "none")"
    }
  }

  private static func strategy(_ id: String) -> RuntimeRule {
    .layers(
      id, of: ["compressed-tensors"], "packed layers are read in groups only",
      expected: "strategy group", remedy: "nibble convert --to gptq_v2"
    ) { layer, _ in
      layer.claim.parts["weight_packed"] != nil && layer.groupSize == -1
        ? "one group a row" : nil
    }
  }

  private static func oneGroup(_ id: String) -> RuntimeRule {
    .model(
      id, "config groups", expected: "one of compressed-tensors", remedy: "nibble convert"
    ) { model in
      guard let groups = model.quantization?["config_groups"]?.object, groups.members.count > 1
      else { return nil }
      return "\(groups.members.count)"
    }
  }

  /// Codes are cut from single words, 32 / bits of them, which no dense stream of 3, 5, 6 or 7 is.
  private static func padded(_ id: String) -> RuntimeRule {
    .layers(
      id, of: ["compressed-tensors"], "codes are not looked for across words",
      expected: "a width that divides 32", remedy: "nibble convert --to dense"
    ) { layer, _ in
      guard layer.claim.parts["weight_packed"]?.dtype == .i32,
        32 % layer.form.grid.bits != 0
      else { return nil }
      return "\(layer.form.grid.bits) bits"
    }
  }
}
