import Codecs
import Kernels

extension Runtime {
  /// transformers, with GPTQModel behind GPTQ and AWQ (TF-n).
  static let transformers = Runtime(
    name: "transformers",
    rules: [
      .declared("TF-1"),
      .keys("TF-2", keys),
    ]
      + RuntimeRule.layouts(
        "TF-3",
        read: Layouts.awqVariants.union([
          "gptq", "gptq_v2", "awq", "compressed-tensors", "fp8", "mxfp4",
          "bnb-4bit", "bnb-int8",
        ]),
        refused: ["mlx"], remedy: "nibble convert --to gptq_v2 or awq"
      ) + [
        writer("TF-4"),
        head("TF-5"),
        actOrder("TF-6"),
        ownKind("TF-7"),
      ])

  private static let keys: RuntimeRule.Keys = [
    "gptq": [["quant_method"], ["bits"]], "gptq_v2": [["quant_method"], ["bits"]],
    "awq": [["quant_method"]], "awq_gemv": [["quant_method"]],
    "awq_gemv_fast": [["quant_method"]], "llm_awq": [["quant_method"]],
    "compressed-tensors": [["quant_method"]], "fp8": [["quant_method"]],
    "mxfp4": [["quant_method"]], "bnb-4bit": [["load_in_4bit"]], "bnb-int8": [["load_in_8bit"]],
  ]

  /// GPTQ-26: the generation of writers whose fields are zero points minus one.
  private static func writer(_ id: String) -> RuntimeRule {
    .layers(
      id, of: ["gptq"], "asymmetric version 1 files load only where GPTQModel wrote them",
      expected: "gptqmodel 0.9 or newer in meta.quantizer, or gptq_v2",
      remedy: "nibble convert --to gptq or gptq_v2 makes it load"
    ) { layer, model in
      guard model.settings(of: layer)?.symmetric == false, let scheme = model.scheme,
        ![scheme.writer, scheme.quantizer].contains(where: { isNewModel($0) })
      else { return nil }
      return scheme.writer ?? "no writer"
    }
  }

  private static func isNewModel(_ writer: String?) -> Bool {
    guard let writer, writer.hasPrefix("gptqmodel:") else { return false }
    let numbers = writer.dropFirst("gptqmodel:".count).split(separator: ".").map { Int($0) ?? 0 }
    return numbers.lexicographicallyPrecedes([0, 9]) == false
  }

  /// Only layers inside the blocks are replaced by packed ones.
  private static func head(_ id: String) -> RuntimeRule {
    .layers(
      id, of: Layouts.gptq, "only layers inside the blocks are loaded packed",
      expected: "a dense lm_head", remedy: "GPTQModel itself loads it"
    ) { layer, _ in
      LayerRole.lastName(of: layer.name) == "lm_head" ? "a packed lm_head" : nil
    }
  }

  private static func actOrder(_ id: String) -> RuntimeRule {
    .layers(
      id, .warning, of: Layouts.gptq, "group indices are ignored by kernels for ordered columns",
      expected: "desc_act true beside a permuted g_idx", remedy: "set desc_act"
    ) { layer, model in
      layer.form.grouping.isPermuted && model.settings(of: layer)?.actOrder == false
        ? "a permuted g_idx" : nil
    }
  }

  /// Packed layers take the place of `nn.Linear` alone, and where GPTQ's take others', the loader stumbles on
  /// their missing weights.
  private static func ownKind(_ id: String) -> RuntimeRule {
    .layers(
      id, of: Layouts.integers.union(Layouts.awqVariants),
      "linear layers of GPT-2's kind are not loaded packed", expected: "layers of nn.Linear",
      remedy: "GPTQModel itself loads GPTQ and AWQ"
    ) { layer, model in
      Conv1D.isKind(layer.name, model.config) ? "a layer of Conv1D" : nil
    }
  }
}
