import Codecs
import Kernels

/// Rules of the Marlin kernels, which vLLM and SGLang share.
enum Marlin {
  /// Keys that both read without a default.
  static let keys: RuntimeRule.Keys = [
    "gptq": gptqKeys, "gptq_v2": gptqKeys,
    "awq": [
      ["quant_method"], ["w_bit", "bits"], ["q_group_size", "group_size"], ["zero_point"],
    ],
    "compressed-tensors": [["quant_method"], ["config_groups"]],
  ]
  private static let gptqKeys = [
    ["quant_method"], ["bits"], ["group_size"], ["desc_act"], ["sym"],
  ]

  static let groupSizes = [-1, 32, 64, 128]
  private static let tile = (inputs: 128, outputs: 64)

  /// Whether the symmetric kernels take the layer.
  static func takes(_ layer: LoadedLayer, _ model: LoadedModel) -> Bool {
    [4, 8].contains(layer.form.grid.bits) && model.settings(of: layer)?.symmetric != false
      && groupSizes.contains(groupSize(of: layer, model))
  }

  /// The config's word comes first: a group wider than a layer is still asked for by its size.
  private static func groupSize(of layer: LoadedLayer, _ model: LoadedModel) -> Int {
    model.settings(of: layer)?.groupSize ?? layer.groupSize
  }

  static func width(_ id: String) -> RuntimeRule {
    .layers(
      id, of: Layouts.gptq, "no kernel for these codes", expected: "4 or 8 bits, sym true",
      remedy: "--to awq for 4 bits"
    ) { layer, model in
      let bits = layer.form.grid.bits
      if bits != 4 && bits != 8 { return "\(bits) bits" }
      return model.settings(of: layer)?.symmetric == false ? "sym false" : nil
    }
  }

  static func groupSizes(
    _ id: String, of layouts: Set<String>, _ severity: Finding.Severity
  ) -> RuntimeRule {
    .layers(
      id, severity, of: layouts,
      severity == .error
        ? "no kernel for this group size" : "only the slow kernels take this group size",
      expected: "32, 64, 128 or -1", remedy: "nibble convert --group-size"
    ) { layer, model in
      let size = groupSize(of: layer, model)
      return groupSizes.contains(size) ? nil : "group_size \(size)"
    }
  }

  /// What is outside of the kernel's tiles on a rank; nil where all fits.
  static func misfit(_ layer: LoadedLayer, _ model: LoadedModel, _ ranks: Int) -> String? {
    guard !layer.isExpert, let inputs = model.inputs(of: layer, on: ranks),
      let outputs = model.joinedOutputs(of: layer, on: ranks),
      inputs % tile.inputs != 0 || outputs % tile.outputs != 0
    else { return nil }
    return "\(inputs) inputs and \(outputs) outputs"
  }

  static func tiles(_ id: String) -> RuntimeRule {
    .ranks(
      id, .warning, of: Layouts.integers,
      "layers do not fill the kernel's tiles: padded at load, at some cost; refused or slow before",
      expected: "inputs of each rank in 128s, joined outputs in 64s"
    ) { layer, model, ranks in
      layer.form.grouping.isPermuted ? nil : misfit(layer, model, ranks)
    }
  }

  static func actOrderTiles(_ id: String) -> RuntimeRule {
    .ranks(
      id, of: Layouts.gptq, "layers in activation order are not padded to the kernel's tiles",
      expected: "inputs of each rank in 128s, joined outputs in 64s", remedy: "another --tp"
    ) { layer, model, ranks in
      layer.form.grouping.isPermuted ? misfit(layer, model, ranks) : nil
    }
  }

  static func actOrderRanks(_ id: String) -> RuntimeRule {
    .ranks(
      id, .warning, of: Layouts.gptq,
      "activation order across ranks: every rank holds all scales; wrong results on ROCm",
      expected: "one rank, or no activation order where inputs are cut"
    ) { layer, _, ranks in
      ranks > 1 && layer.role == .rowParallel && layer.form.grouping.isPermuted
        ? "a permuted g_idx" : nil
    }
  }

  /// Parameters are loaded into the type the model runs in.
  static func castScales(_ id: String) -> RuntimeRule {
    .layers(
      id, .warning, of: Layouts.integers, "scales are cast to the model's dtype at load",
      expected: "scales in the model's dtype", remedy: "--dtype of the runtime chooses another"
    ) { layer, model in
      guard let dense = model.denseType, dense != layer.form.scaleType, dense != .f32 else {
        return nil
      }
      return "\(layer.form.scaleType) scales under \(dense)"
    }
  }

  static func zeroPoint(_ id: String) -> RuntimeRule {
    .layers(
      id, .warning, of: ["awq"], "only the slow kernels take zero_point false",
      expected: "zero_point true", remedy: "nibble convert --to awq writes true"
    ) { _, model in
      model.quantization?["zero_point"]?.bool == false ? "zero_point false" : nil
    }
  }

  static func packedWidths(_ id: String) -> RuntimeRule {
    .layers(
      id, of: ["compressed-tensors"], "no kernel for these codes",
      expected: "4 or 8 bits where zero points are stored"
    ) { layer, _ in
      let bits = layer.form.grid.bits
      guard case .affine = layer.form.grid, bits != 4, bits != 8, !layer.facts.isSymmetric,
        layer.facts.zeros != nil
      else { return nil }
      return "\(bits) bits with zero points"
    }
  }
}
