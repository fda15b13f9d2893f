import Checkpoints

/// An inspection as text for people.
struct InspectionText {
  let inspection: Inspection

  init(_ inspection: Inspection) {
    self.inspection = inspection
  }

  private var checkpoint: Checkpoint { inspection.checkpoint }

  /// Findings first, then the checkpoint in a few lines.
  var header: String {
    let name = checkpoint.path.fileName.escapedForDisplay
    let model = inspection.architecture.map { "  " + $0.escapedForDisplay } ?? ""
    var table = Table([.left, .left])
    let files = checkpoint.tensors.files
    let size = files.reduce(0) { $0 + $1.size }
    let tensors = Words.plural(checkpoint.tensors.tensors.count, "tensor")
    table.add("files", "\(files.count), \(Words.bytes(size)), \(tensors)")
    table.add("quantization", inspection.quantization.escapedForDisplay)
    if let zeroPoints = inspection.zeroPoints { table.add("zero points", zeroPoints.summary) }
    table.add("weights", weights)
    if let bits = inspection.bitsPerWeight {
      table.add("bits per weight", Words.fixed(bits, 3) + packedBits)
    }
    return (findings + [Terminal.bold(name) + model, table.text(indent: "  ")])
      .joined(separator: "\n")
  }

  private var findings: [String] {
    inspection.findings.map { finding in
      let label = finding.severity.rawValue
      let text = "\(label): \(finding.failure)"
      return finding.severity == .error ? Terminal.red(text) : text
    }
  }

  private var weights: String {
    let total = Words.count(inspection.weights)
    guard inspection.packedWeights > 0 else { return total }
    return "\(total) (\(Words.count(inspection.packedWeights)) packed, "
      + "\(Words.count(inspection.denseWeights)) dense)"
  }

  private var packedBits: String {
    inspection.packedBitsPerWeight.map { " (packed layers \(Words.fixed($0, 3)))" } ?? ""
  }

  /// Layers of a kind in one line each, then dense tensors of a kind.
  var summary: String {
    var sections: [String] = []
    if !inspection.kinds.isEmpty {
      sections.append(Terminal.bold("packed layers") + "\n" + packed.text(indent: "  "))
    }
    if !inspection.dense.isEmpty {
      sections.append(Terminal.bold("dense tensors") + "\n" + dense.text(indent: "  "))
    }
    return sections.joined(separator: "\n")
  }

  private var packed: Table {
    var table = Table([.left, .right, .left, .left, .left, .right, .left])
    for kind in inspection.kinds {
      let layer = kind.first
      let sizes = Set(kind.layers.map(\.groupSize)).sorted()
      let parts = layer.parts.keys.sorted().joined(separator: " ")
      table.add(
        kind.name.escapedForDisplay, "×\(kind.layers.count)", "\(layer.rows) × \(layer.columns)",
        "\(layer.layout) \(layer.bits)-bit",
        "group " + sizes.map(String.init).joined(separator: "/"), Words.bytes(kind.byteCount),
        parts)
    }
    return table
  }

  private var dense: Table {
    var table = Table([.left, .right, .left, .left, .right])
    var groups: [(name: String, tensors: [Tensor])] = []
    var positions: [String: Int] = [:]
    for tensor in inspection.dense {
      let parts = tensor.name.split(separator: ".", omittingEmptySubsequences: false)
      let kind = parts.map { Int($0) == nil ? String($0) : "#" }.joined(separator: ".")
      let key = "\(kind) \(tensor.dtype) \(tensor.shape)"
      if let position = positions[key] {
        groups[position].tensors.append(tensor)
      } else {
        positions[key] = groups.count
        groups.append((kind, [tensor]))
      }
    }
    for group in groups {
      let tensor = group.tensors[0]
      table.add(
        group.name.escapedForDisplay, "×\(group.tensors.count)", tensor.dtype.rawValue,
        tensor.shape.description, Words.bytes(group.tensors.reduce(0) { $0 + $1.byteCount }))
    }
    return table
  }

  func table(_ tensors: [Tensor]) -> String {
    var table = Table([.left, .left, .left, .right, .left])
    for tensor in tensors {
      table.add(
        tensor.name.escapedForDisplay, tensor.dtype.rawValue, tensor.shape.description,
        Words.bytes(tensor.byteCount), tensor.source.path.fileName.escapedForDisplay)
    }
    return table.text()
  }
}
