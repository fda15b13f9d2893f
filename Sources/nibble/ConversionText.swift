import Checkpoints

/// A conversion as text for people.
enum ConversionText {
  static func plan(_ plan: ConversionPlan) -> String {
    var table = Table([.left, .left])
    let packed = Words.plural(plan.layers.count, "packed layer")
    let from =
      plan.quantized == nil ? plan.source.config.scheme?.summary ?? packed : "dense weights"
    table.add("from", from)
    switch plan.options.target {
    case .layout: table.add("to", plan.scheme?.summary ?? plan.options.target.name)
    case .dense(let type): table.add("to", "dense \(type) weights")
    case .asIs: table.add("to", "the same tensors in other files")
    case .quantized: if let made = plan.quantized { table.add("to", summary(made)) }
    }
    if !plan.layers.isEmpty { table.add("packed", self.packed(plan.layers)) }
    if let type = plan.options.restType, !plan.rest.isEmpty {
      table.add("dense", rest(plan.rest.map(\.name), type))
    }
    if !plan.folding.folds.isEmpty { table.add("folded", folded(plan.folding)) }
    for note in plan.notes { table.add("note", note) }
    let copied = plan.outputs.count { if case .copy = $0.recipe { true } else { false } }
    table.add(
      "carried",
      "\(Words.plural(copied, "tensor")), \(Words.plural(plan.sideFiles.carried.count, "file"))")
    for (path, reason) in plan.sideFiles.left { table.add("left", "\(path) (\(reason))") }
    for file in plan.shards.shards {
      table.add("writes", "\(file.name)  \(Words.bytes(file.layout.byteCount))")
    }
    return table.text()
  }

  private static func rest(_ names: [String], _ type: DType) -> String {
    let rounding = type == .f32 ? "exact" : "each weight rounded once to \(type)"
    let list = names.map(\.escapedForDisplay).joined(separator: ", ")
    return "\(Words.plural(names.count, "layer")) written dense, \(rounding): \(list)"
  }

  private static func folded(_ folding: OrderFolding) -> String {
    let names = folding.folds.map(\.linear.escapedForDisplay)
    let more = names.count > 3 ? " and \(names.count - 3) more" : ""
    return "\(Words.plural(names.count, "order")) of inputs moved into the outputs that make them: "
      + names.prefix(3).joined(separator: ", ") + more
  }

  private static func summary(_ made: QuantizedSummary) -> String {
    "\(Words.plural(made.layers, "layer")) as \(made.method.rawValue), "
      + "\(Words.fixed(made.bitsPerWeight, 3)) bits a weight"
  }

  private static func packed(_ layers: [FittedLayer]) -> String {
    let requantized = layers.count(where: \.isRequantized)
    let changes = layers.changes.map(\.description).sorted()
    let moves = layers.changes.contains {
      if case .recoveredZeros(let difference) = $0 { difference > 0 } else { false }
    }
    let kept =
      "\(Words.plural(layers.count - requantized, "layer")) re-encoded"
      + (moves ? "" : ", no number changes")
    let list = changes.isEmpty ? "" : " (\(changes.joined(separator: "; ")))"
    return requantized == 0 ? kept + list : "\(kept); \(requantized) rounded anew\(list)"
  }

  /// The line that says what was shown, not what was hoped for.
  static func report(_ report: ConversionReport) -> String {
    let path = report.path.escapedForDisplay
    let carried = "\(Words.plural(report.carriedTensors, "tensor")) carried, all bytes equal."
    var lines: [String]
    switch report.target {
    case .layout:
      let verdict = report.isLossless ? "lossless" : "NOT lossless"
      lines = [
        "\(path): \(verdict). \(Words.plural(report.layers.count, "layer")) read back: "
          + "\(report.codes) codes, \(report.scales) scales, \(report.zeros) zero points "
          + "compared, 0 differ. \(carried)"
      ]
    case .dense(let type):
      let rounding = type == .f32 ? "exact" : "each rounded once to \(type)"
      lines = [
        "\(path): \(Words.plural(report.layers.count, "layer")) dequantized to \(type), "
          + "\(report.codes) weights read back, \(rounding). \(carried)"
      ]
    case .asIs: lines = ["\(path): \(carried)"]
    case .quantized:
      let made = report.quantized.map(summary) ?? ""
      lines = ["\(path): \(made), read back: 0 numbers differ from those made. \(carried)"]
    }
    if let left = report.rest, !left.names.isEmpty { lines.append(rest(left.names, left.type)) }
    if !report.folding.folds.isEmpty { lines.append(folded(report.folding)) }
    if let padding = report.padding { lines.append(padding.summary) }
    for change in report.changes.changes {
      if case .recoveredZeros = change { lines.append(change.description) }
    }
    lines += report.errors.map { error in
      "rounded anew: \(error.name.escapedForDisplay): relative error "
        + "\(Words.short(error.relative)), largest change \(Words.short(error.maximum))"
    }
    if let seconds = report.manifestSeconds {
      lines.append("\(Manifest.fileName): all hashed in \(Words.fixed(seconds, 2)) s")
    }
    return lines.joined(separator: "\n")
  }
}
