public import Kernels
internal import TensorCore

extension AWQGEMVFast {
  public func splitGroupSize(for form: QuantizedForm) -> Int? {
    PaddedGroups.splitSize(for: form)
  }

  public func refusal(of layer: LayerFacts) -> Refusal? {
    let form = layer.form
    if let refusal = PaddedGroups.refusal(of: form, in: name, rules: "FAST") { return refusal }
    guard form.rows % 4 == 0 && form.columns % QuadRows.block == 0 else {
      return Refusal(
        "\(form.rows) × \(form.columns) codes do not fill blocks of 4 × 64",
        remedy: "--to awq_gemv", rule: "FAST-2")
    }
    guard scaleTypes.contains(form.scaleType) else {
      return Refusal(
        "scales are \(form.scaleType)",
        remedy: scaleTypes.map(\.rawValue).joined(separator: " or ") + " scales", rule: "FAST-3")
    }
    switch form.offset {
    case .added(let type) where type == form.scaleType: return nil
    case .added(let type):
      return Refusal(
        "added terms are \(type), scales \(form.scaleType)", remedy: "both of one type",
        rule: "FAST-3")
    case .integer:
      guard let zeros = layer.zeros, zeros.upperBound > 15 else { return nil }
      return Refusal(
        "a zero point of \(zeros.upperBound) could not be recovered",
        remedy: "--assume-zeros mask reads full fields as 0", rule: "FAST-6")
    case .none, .real: return .noWholeZeros(target: name, rule: "FAST-4")
    }
  }

  /// Reads all scales and zero points, to say what rounding their product does.
  public func parts(
    of layer: any PackedLayer, options: EncodingOptions
  ) throws -> [EncodedPart] {
    let form = layer.form
    guard case .columns(let size) = form.grouping,
      let width = PaddedGroups.width(columns: form.columns, size: size)
    else { throw Failure(.internal, at: layer.name, "a refused layer is to be written") }
    let note = try roundingNote(layer)
    return [
      try .init(
        "\(layer.name).qweight", .i16, [form.rows / 4, form.columns],
        alignment: Region.alignment / 4, order: .outputMajor
      ) { quads, words, workspace in
        let region = Region(
          rows: quads.lowerBound * 4..<quads.upperBound * 4, columns: 0..<form.columns)
        try workspace.lend(region.count) { codes in
          try layer.readCodes(region, .outputMajor, into: &codes, workspace)
          QuadRows.pack(codes.bytes, columns: form.columns, into: &words)
        }
      },
      try part("scales", of: layer, width: width) { region, bytes, workspace in
        try layer.readScales(region, .inputMajor, into: &bytes, workspace)
      },
      try part(terms, of: layer, width: width, note: note) { region, bytes, workspace in
        if form.offset == .integer {
          try Self.readRoundedTerms(of: layer, region, into: &bytes, workspace)
        } else {
          try layer.readOffsets(region, .inputMajor, into: &bytes, workspace)
        }
      },
    ]
  }

  /// A `[8 × width, rows]` tensor, zero behind the real groups.
  private func part(
    _ part: String, of layer: any PackedLayer, width: Int, note: String? = nil,
    _ fill:
      @escaping @Sendable (Region, inout MutableRawSpan, Workspace) throws -> Void
  ) throws -> EncodedPart {
    let form = layer.form
    let plain = try EncodedPart(
      "\(layer.name).\(part)", form.scaleType, [width * 8, form.rows]
    ) { groups, bytes, workspace in
      let real = min(groups.lowerBound, form.groups)..<min(groups.upperBound, form.groups)
      let rowBytes = form.rows * form.scaleType.bits / 8
      bytes.clear()
      guard !real.isEmpty else { return }
      var kept = bytes.part(0..<real.count * rowBytes)
      try fill(Region(rows: 0..<form.rows, columns: real), &kept, workspace)
    }
    return EncodedPart(
      info: plain.info, alignment: plain.alignment, order: plain.order, note: note,
      make: plain.make)
  }

  private static func readRoundedTerms(
    of layer: any PackedLayer, _ region: Region, into terms: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws {
    try workspace.lend(region.count * 4) { scales in
      try layer.readFloatScales(region, .inputMajor, into: &scales, workspace)
      try workspace.lend(region.count * 4) { zeros in
        try layer.readFloatOffsets(region, .inputMajor, into: &zeros, workspace)
        try AddedTerms.round(
          scales: scales.bytes, zeros: zeros.bytes, to: layer.form.scaleType, into: &terms,
          workspace)
      }
    }
  }

  /// FAST-5: a product beyond the type's range has no term. nil where every product is exact.
  private func roundingNote(_ layer: any PackedLayer) throws -> String? {
    guard layer.form.offset == .integer else { return nil }
    let workspace = Workspace()
    let type = layer.form.scaleType
    var survey = AddedTerms.Survey()
    try layer.forEachParameterBand(workspace) { scales, zeros in
      try workspace.lend(scales.byteCount) { terms in
        try workspace.lend(scales.byteCount / 4 * type.bits / 8) { stored in
          try AddedTerms.round(
            scales: scales, zeros: zeros, to: type, into: &stored, workspace)
          try FloatConversion.toFloat32(type, stored.bytes, into: &terms)
        }
        survey.add(
          try AddedTerms.survey(
            scales: scales, terms: terms.bytes, zeros: zeros, type: type, bits: 4, workspace))
      }
    }
    guard survey.homeless == 0 else {
      throw Failure(
        .cannotRepresent, at: layer.name, "products of scales and zero points leave \(type)",
        expected: "−s·z in its range for every group",
        found: "\(survey.homeless) of \(survey.groups) groups outside", rule: "FAST-5",
        remedy: "--to awq or awq_gemv")
    }
    guard survey.rounded > 0 else { return nil }
    // A power of two, so that the layers of a model share a few notes.
    let bound = survey.largestDifference.exponent + 1
    return "zero points become −s·z rounded to \(type), from which they can be recovered; weights "
      + "move by less than 2^\(bound)"
  }
}
