import Codecs
import Kernels

extension Runtime {
  /// mlx-lm (MLXR-n).
  static let mlx = Runtime(
    name: "mlx",
    rules: [
      fileNames("MLXR-1"),
      declared("MLXR-2"),
    ]
      + RuntimeRule.layouts(
        "MLXR-3", read: ["mlx", "awq", "mxfp4"],
        refused: Layouts.gptq.union(Layouts.awqVariants).union(["compressed-tensors"]),
        remedy: "nibble convert --to mlx or awq"
      ) + [
        groupIndex("MLXR-4"),
        groups("MLXR-5"),
        widths("MLXR-6"),
        biases("MLXR-7"),
        castDense("MLXR-8"),
        oneSetting("MLXR-9"),
        ownNames("MLXR-10"),
      ])

  private static func fileNames(_ id: String) -> RuntimeRule {
    .model(
      id, "files that are not looked for", expected: "names that match model*.safetensors",
      remedy: "nibble reshard names files so"
    ) { model in
      let others = model.fileNames.filter { !$0.hasPrefix("model") }
      return others.isEmpty ? nil : others.prefix(3).joined(separator: ", ")
    }
  }

  /// Its own layouts stand under `quantization`, others under `quantization_config`.
  private static func declared(_ id: String) -> RuntimeRule {
    .model(
      id, "the quantization is not declared where it is looked for",
      expected: "quantization, or a quantization_config with quant_method, in config.json"
    ) { model in
      guard !model.layers.isEmpty, model.config["quantization"]?.object == nil,
        model.quantization?["quant_method"]?.string == nil
      else { return nil }
      return model.quantization == nil ? "neither" : "no quant_method"
    }
  }

  private static func groupIndex(_ id: String) -> RuntimeRule {
    .layers(
      id, of: Layouts.integers, "any g_idx is refused, a trivial one too",
      expected: "no g_idx tensors", remedy: "nibble convert --to mlx or awq leaves trivial ones out"
    ) { layer, _ in
      layer.claim.parts["g_idx"] == nil ? nil : "a g_idx"
    }
  }

  private static func groups(_ id: String) -> RuntimeRule {
    .layers(
      id, of: ["mlx", "awq"], "no kernel for this group size", expected: "32, 64 or 128",
      remedy: "nibble convert --group-size"
    ) { layer, model in
      if layer.claim.layout == "awq", model.scheme?.defaults.groupSize == -1 {
        return "group_size -1"
      }
      let size = layer.claim.groupSize
      return [32, 64, 128].contains(size) ? nil : "group_size \(size)"
    }
  }

  private static func widths(_ id: String) -> RuntimeRule {
    .layers(
      id, of: ["mlx"], "no kernel for these codes", expected: "2, 3, 4, 5, 6 or 8 bits"
    ) { layer, _ in
      guard case .affine = layer.form.grid, ![2, 3, 4, 5, 6, 8].contains(layer.form.grid.bits)
      else { return nil }
      return "\(layer.form.grid.bits) bits"
    }
  }

  /// A product of a half-precision scale and a power of two is exact, others need not be.
  private static func biases(_ id: String) -> RuntimeRule {
    .layers(
      id, .warning, of: ["awq"],
      "zero points become biases in the scales' type, most of them rounded",
      expected: "one zero point that is a power of two, or biases made exactly",
      remedy: "nibble convert --to mlx makes them exact"
    ) { layer, _ in
      guard let zeros = layer.facts.zeros else { return nil }
      let isExact = zeros.count == 1 && zeros.lowerBound.nonzeroBitCount <= 1
      return isExact ? nil : "zero points \(zeros.lowerBound) to \(zeros.upperBound)"
    }
  }

  private static func castDense(_ id: String) -> RuntimeRule {
    .layers(
      id, .warning, of: ["awq"], "all dense tensors are cast to the scales' type",
      expected: "scales in the model's dtype"
    ) { layer, model in
      guard let dense = model.denseType, dense != layer.form.scaleType else { return nil }
      return "\(layer.form.scaleType) scales under \(dense)"
    }
  }

  private static func oneSetting(_ id: String) -> RuntimeRule {
    .layers(
      id, of: ["awq"], "the config's group_size is taken for all layers",
      expected: "one group size"
    ) { layer, model in
      guard let size = model.scheme?.defaults.groupSize, size > 0, layer.claim.groupSize != size
      else { return nil }
      return "group_size \(layer.claim.groupSize)"
    }
  }

  /// What lies under `h` is taken for dense and turned, and all else but `model` gets `model.` before it.
  private static func ownNames(_ id: String) -> RuntimeRule {
    .layers(
      id, of: ["mlx", "awq"], "packed GPT-2 is looked for under names of the runtime's own",
      expected: "model.h.0.attn.c_attn and its like"
    ) { layer, model in
      Conv1D.isKind(layer.name, model.config) && !Conv1D.isNamedForMLX(layer.name)
        ? "names of transformers" : nil
    }
  }
}
