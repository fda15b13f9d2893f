import Checkpoints

/// A conversion as text for people.
enum ConversionText {
  static func plan(_ plan: ConversionPlan) -> String {
    var table = Table([.left, .left])
    let layers = Words.plural(plan.layers.count, "layer")
    table.add("from", plan.source.config.scheme?.summary ?? "packed layers without a config")
    table.add("to", plan.scheme.summary)
    table.add("packed", "\(layers) re-encoded, no number changes")
    let dense = plan.source.denseTensors
    table.add(
      "carried",
      "\(Words.plural(dense.count, "tensor")), "
        + "\(Words.plural(plan.sideFiles.carried.count, "file"))")
    for (path, reason) in plan.sideFiles.left { table.add("left", "\(path) (\(reason))") }
    for file in plan.shards.shards {
      table.add("writes", "\(file.name)  \(Words.bytes(file.layout.byteCount))")
    }
    return table.text()
  }

  /// The line that says what was shown, not what was hoped for.
  static func proof(_ report: ConversionReport) -> String {
    """
    \(report.path.escapedForDisplay): lossless. \(report.layers.count) layers read back: \
    \(report.codes) codes, \(report.scales) scales, \(report.zeros) zero points compared, \
    0 differ. \(Words.plural(report.carriedTensors, "tensor")) carried, all bytes equal.
    """
  }
}
