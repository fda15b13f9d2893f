import Checkpoints

/// Quantizing weights as text for people.
enum WeightText {
  static func plan(_ plan: WeightPlan, _ seconds: [QuantizationStage: Double]?) -> String {
    var table = Table([.left, .left])
    table.add("from", "dense weights")
    table.add("by", settings(plan))
    table.add(
      "layers",
      "\(plan.layerCount) in \(Words.plural(plan.blockCount, "block")), \(plan.weightCount) weights"
    )
    let others = plan.overriddenLayers.count
    if others > 0 { table.add("others", "\(Words.plural(others, "layer")) by --override") }
    if !plan.denseLayers.isEmpty {
      table.add("dense", plan.denseLayers.map(\.escapedForDisplay).joined(separator: ", "))
    }
    if let file = plan.statistics { table.add("knows", statistics(plan, file)) }
    if let text = plan.calibration {
      table.add(
        "runs on",
        "\(text.sources.joined(separator: ", ").escapedForDisplay): "
          + "\(Words.plural(text.windows.count, "window")), \(text.usedTokens) tokens used, "
          + "\(text.droppedTokens) dropped")
      table.add("memory", memory(plan))
      if let seconds { table.add("time", time(seconds)) }
    }
    for forecast in plan.forecasts {
      let changes = forecast.changes.map(\.description)
      let bits = Words.fixed(forecast.bitsPerWeight(plan.weightCount), 3)
      table.add(
        "writes",
        "\(forecast.name)  \(Words.bytes(forecast.byteCount)), \(bits) bits a weight"
          + (changes.isEmpty ? "" : " (\(changes.joined(separator: "; ")))"))
    }
    return table.text()
  }

  /// How many layers a file speaks of, and what it has besides.
  private static func statistics(_ plan: WeightPlan, _ file: LayerStatistics) -> String {
    let without = plan.layersWithoutStatistics.count
    var text =
      "\(plan.layerCount - without) of \(Words.plural(plan.layerCount, "layer")) from "
      + file.path.escapedForDisplay
    if !file.unusedEntries.isEmpty {
      let shown = file.unusedEntries.prefix(3).map(\.escapedForDisplay).joined(separator: ", ")
      let rest = file.unusedEntries.count - min(3, file.unusedEntries.count)
      text += "; of no such layer: \(shown)" + (rest > 0 ? " and \(rest) more" : "")
    }
    return text
  }

  /// What a calibrated run will take, told before it begins.
  static func memory(_ plan: WeightPlan) -> String {
    let states = Words.bytes(plan.memory.hiddenStates)
    return "about \(Words.bytes(plan.memory.total)), with \(states) of hidden states "
      + (plan.spills ? "in a file besides" : "among them")
  }

  /// An estimate from the machine's rates, measured just now, and what is to be computed.
  static func time(_ seconds: [QuantizationStage: Double]) -> String {
    let all = seconds.values.reduce(0, +)
    guard all >= 1 else { return "about a second, by what is to be computed" }
    let parts = QuantizationStage.allCases.compactMap { stage -> String? in
      guard let part = seconds[stage], part >= all / 100 else { return nil }
      return "\(stage) \(Words.duration(part))"
    }
    return "about \(Words.duration(all)), by what is to be computed and this machine's rates: "
      + parts.joined(separator: ", ")
  }

  static func settings(_ plan: WeightPlan) -> String {
    let asked = plan.quantization
    let group = asked.groupSize == -1 ? "one group a row" : "groups of \(asked.groupSize)"
    let codes = asked.isTernary ? "three values in 2 bits" : "\(asked.bits) bits"
    return "\(asked.method.rawValue), \(codes), \(group), "
      + (asked.isSymmetric ? "symmetric" : "asymmetric")
  }

  static func report(_ report: WeightReport) -> String {
    var lines = report.outputs.map { output in
      "\(output.path.escapedForDisplay): \(Words.plural(output.layers.count, "layer")) by "
        + "\(settings(report.plan)) as \(output.target.name), read back: 0 of \(output.codes) codes, "
        + "\(output.scales) scales and \(output.zeros) zero points differ from those made. "
        + "\(Words.plural(output.carriedTensors, "tensor")) carried, all bytes equal."
    }
    if report.resumedBlocks > 0 {
      lines.append("\(Words.plural(report.resumedBlocks, "block")) were there from a run before")
    }
    if !report.fallbacks.isEmpty {
      let share = "\(report.fallbacks.count) of \(Words.plural(report.layers.count, "layer"))"
      lines.append("\(share) rounded to nearest instead:")
    }
    for layer in report.layers {
      let name = layer.name.escapedForDisplay
      if let reason = layer.report.fallback {
        lines.append("rounded to nearest: \(name): \(reason)")
      }
      if let note = layer.note { lines.append("\(name): \(note)") }
    }
    return lines.joined(separator: "\n")
  }
}
