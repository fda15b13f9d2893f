import Checkpoints

/// The decoded numbers of a layer, drawn.
struct LayerText {
  let report: LayerReport
  let claim: LayerClaim

  init(_ report: LayerReport, _ claim: LayerClaim) {
    self.report = report
    self.claim = claim
  }

  var text: String {
    [title, matrices, facts, codeHistogram, zeroHistogram].compactMap(\.self)
      .joined(separator: "\n\n")
  }

  private var title: String {
    let form = report.form
    let order = form.grouping.isPermuted ? ", columns in activation order (real g_idx)" : ""
    let parts = claim.parts.keys.sorted().map { key -> String in
      let tensor = claim.parts[key]
      return "  \(key)  \(tensor.map { "\($0.dtype) \($0.shape)" } ?? "")"
    }
    return
      ([
        Terminal.bold(report.name.escapedForDisplay)
          + "  \(claim.layout), \(form.rows) outputs × \(form.columns) inputs, "
          + "\(form.grid.bits) bits, \(form.groups) groups of \(claim.groupSize)\(order)"
      ] + parts).joined(separator: "\n")
  }

  private var matrices: String {
    let corner = report.corner
    let float: (Float) -> String = { Words.short(Double($0)) }
    let isWhole = report.form.offset == .integer
    let offset: (Float) -> String = { isWhole ? String(Int($0)) : Words.short(Double($0)) }
    var blocks = [Self.matrix("codes", by: "input", corner.codes.map { $0.map(String.init) })]
    if !corner.offsets.isEmpty {
      let name = isWhole ? "zeros" : "offsets"
      blocks.append(Self.matrix(name, by: "group", corner.offsets.map { $0.map(offset) }))
    }
    blocks.append(Self.matrix("scales", by: "group", corner.scales.map { $0.map(float) }))
    blocks.append(Self.matrix("weights", by: "input", corner.weights.map { $0.map(float) }))
    return blocks.joined(separator: "\n")
  }

  private static func matrix(_ name: String, by column: String, _ rows: [[String]]) -> String {
    let width = rows.flatMap(\.self).map(\.count).max() ?? 0
    let lines = rows.map { row in
      let cells = row.map { String(repeating: " ", count: width - $0.count) + $0 }
      return "  " + cells.joined(separator: " ")
    }
    return ([Terminal.dim("\(name) [output][\(column)]")] + lines).joined(separator: "\n")
  }

  private var facts: String {
    var table = Table([.left, .left])
    table.add("weights", TensorText.line(report.weights))
    table.add("scales", TensorText.line(report.scales))
    table.add("dead groups", "\(report.deadGroups) of \(report.form.parameterCount)")
    if report.ambiguousZeros > 0 {
      table.add("ambiguous zeros", "\(report.ambiguousZeros) full fields (GPTQ-12)")
    }
    for remark in report.remarks.members {
      table.add(remark.key.replacing("_", with: " "), Self.plain(remark.value))
    }
    return table.text()
  }

  /// A value without the marks of JSON.
  private static func plain(_ value: JSON) -> String {
    if let list = value.array {
      return list.isEmpty ? "none" : list.map(plain).joined(separator: " ")
    }
    if let flag = value.bool { return flag ? "yes" : "no" }
    if case .number(let text) = value, let real = Double(text), Int(text) == nil {
      return Words.short(real)
    }
    return value.string ?? value.text()
  }

  private var codeHistogram: String {
    let bars = report.codes.enumerated().map { (String($0), $1) }
    return Terminal.dim("codes") + "\n" + Self.bars(bars)
  }

  private var zeroHistogram: String? {
    guard !report.zeros.isEmpty else { return nil }
    return Terminal.dim("zero points") + "\n"
      + Self.bars(report.zeros.map { (String($0.value), $0.count) })
  }

  /// Bars of at most 50 characters; runs of rows without a count are left out.
  private static func bars(_ values: [(label: String, count: Int)]) -> String {
    let highest = max(1, values.map(\.count).max() ?? 1)
    let total = max(1, values.reduce(0) { $0 + $1.count })
    var table = Table([.right, .right, .left])
    for (label, count) in values where count > 0 || values.count <= 16 {
      let share = Words.fixed(Double(count) * 100 / Double(total), 2) + " %"
      let length = (count * 50 + highest - 1) / highest
      table.add(label, share, String(repeating: "▇", count: length))
    }
    return table.text(indent: "  ")
  }
}

/// The numbers of a dense tensor.
struct TensorText {
  let report: TensorReport

  init(_ report: TensorReport) {
    self.report = report
  }

  var text: String {
    let info = report.info
    let title =
      Terminal.bold(info.name.escapedForDisplay)
      + "  \(info.dtype) \(info.shape), \(Words.bytes(info.byteCount))"
    guard let values = report.values else {
      return title + "\n  \(info.dtype) values are not shown"
    }
    let first = report.first.map { Words.short(Double($0)) }.joined(separator: " ")
    return "\(title)\n  \(Self.line(values))\n  first values  \(first)"
  }

  static func line(_ values: FloatStatistics) -> String {
    var parts = [
      "min \(Words.short(Double(values.minimum)))", "max \(Words.short(Double(values.maximum)))",
    ]
    if let mean = values.mean, let deviation = values.standardDeviation {
      parts += ["mean \(Words.short(mean))", "std \(Words.short(deviation))"]
    }
    parts.append("NaN \(values.nanCount)")
    parts.append("Inf \(values.infiniteCount)")
    parts.append("zero \(values.zeroCount)")
    return parts.joined(separator: ", ")
  }
}
