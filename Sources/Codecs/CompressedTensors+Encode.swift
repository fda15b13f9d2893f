internal import Kernels
internal import TensorCore

extension CompressedTensors {
  /// CT-20: `pack-quantized`, and `int-quantized` where that is what the source is.
  public func parts(
    of layer: any PackedLayer, options: EncodingOptions
  ) throws -> [EncodedPart] {
    let form = layer.form
    let isBytes =
      layer.claim.layout == name && layer.claim.parts["weight"]?.dtype == .i8
      && form.grid.bits == 8
    var parts = [try scales(of: layer)]
    parts += isBytes ? [try bytes(of: layer)] : [try words(of: layer), try shape(of: layer)]
    if try layer.hasZeroOff(middle: 1 << (form.grid.bits - 1)) {
      parts.append(isBytes ? try zeroBytes(of: layer) : try zeroWords(of: layer))
    }
    let hasIndex = layer.claim.layout == name && layer.claim.parts["weight_g_idx"] != nil
    if hasIndex || form.grouping.isPermuted { parts.append(try index(of: layer)) }
    return parts
  }

  private func words(of layer: any PackedLayer) throws -> EncodedPart {
    let form = layer.form
    let bits = form.grid.bits
    let words = (form.columns * bits).dividedRoundingUp(by: 32)
    return try .init(
      "\(layer.name).weight_packed", .i32, [form.rows, words], alignment: Region.alignment,
      order: .outputMajor, note: note(on: form)
    ) { rows, bytes, workspace in
      let region = Region(rows: rows, columns: 0..<form.columns)
      guard form.columns * bits % 32 != 0 else {
        return try layer.readWords(region, .outputMajor, into: &bytes, workspace)
      }
      try workspace.lend(region.count) { codes in
        try layer.readCodes(region, .outputMajor, into: &codes, workspace)
        WordPacking.pack(bits: bits, codes.bytes, rows: rows.count, into: &bytes)
      }
    }
  }

  /// CT-21: what the file holds and some loaders do not take.
  private func note(on form: QuantizedForm) -> String? {
    if form.grouping.isPermuted {
      return "columns in activation order (weight_g_idx): compressed-tensors 0.19 and later "
        + "refuse the config, vLLM and earlier ones read it"
    }
    if case .columns(let size) = form.grouping, form.columns % size != 0 {
      return "the last group is shorter than the others: compressed-tensors does not read that"
    }
    return nil
  }

  private func bytes(of layer: any PackedLayer) throws -> EncodedPart {
    let form = layer.form
    return try .init(
      "\(layer.name).weight", .i8, [form.rows, form.columns], alignment: Region.alignment,
      order: .outputMajor
    ) { rows, bytes, workspace in
      let region = Region(rows: rows, columns: 0..<form.columns)
      try layer.readCodes(region, .outputMajor, into: &bytes, workspace)
      Bytes.shift(&bytes, adding: 128)
    }
  }

  private func scales(of layer: any PackedLayer) throws -> EncodedPart {
    let form = layer.form
    return try .init(
      "\(layer.name).weight_scale", form.scaleType, [form.rows, form.groups],
      alignment: Region.alignment
    ) { rows, bytes, workspace in
      let region = Region(rows: rows, columns: 0..<form.groups)
      try layer.readScales(region, .outputMajor, into: &bytes, workspace)
    }
  }

  private func shape(of layer: any PackedLayer) throws -> EncodedPart {
    let form = layer.form
    let source = layer.claim.layout == name ? layer.claim.parts["weight_shape"] : nil
    let dtype = source?.dtype ?? .i64
    return try .init("\(layer.name).weight_shape", dtype, [2]) { axes, bytes, _ in
      for (position, axis) in axes.enumerated() {
        let size = UInt64(axis == 0 ? form.rows : form.columns)
        guard dtype == .i64 else {
          bytes.set(UInt32(truncatingIfNeeded: size), at: position)
          continue
        }
        bytes.set(UInt32(truncatingIfNeeded: size), at: position * 2)
        bytes.set(UInt32(size >> 32), at: position * 2 + 1)
      }
    }
  }

  /// A band of words down the outputs: 32 of them fill `bits` words.
  private func zeroWords(of layer: any PackedLayer) throws -> EncodedPart {
    let form = layer.form
    let bits = form.grid.bits
    let words = (form.rows * bits).dividedRoundingUp(by: 32)
    return try .init(
      "\(layer.name).weight_zero_point", .i32, [words, form.groups], alignment: bits
    ) { band, bytes, workspace in
      let rows =
        band.lowerBound / bits
        * 32..<min(form.rows, band.upperBound.dividedRoundingUp(by: bits) * 32)
      try workspace.lend(bytes.byteCount) { streams in
        try layer.withZeroFields(rows: rows, .inputMajor, workspace) { fields in
          WordPacking.pack(bits: bits, fields, rows: form.groups, into: &streams)
        }
        Transpose.words(streams.bytes, rows: form.groups, columns: band.count, into: &bytes)
      }
    }
  }

  private func zeroBytes(of layer: any PackedLayer) throws -> EncodedPart {
    let form = layer.form
    return try .init(
      "\(layer.name).weight_zero_point", .i8, [form.rows, form.groups],
      alignment: Region.alignment
    ) { rows, bytes, workspace in
      try layer.withZeroFields(rows: rows, .outputMajor, workspace) { fields in
        Bytes.shift(fields, adding: 128, into: &bytes)
      }
    }
  }

  private func index(of layer: any PackedLayer) throws -> EncodedPart {
    let form = layer.form
    return try .init("\(layer.name).weight_g_idx", .i32, [form.columns]) { columns, bytes, _ in
      for (position, column) in columns.enumerated() {
        bytes.set(UInt32(form.grouping.group(ofColumn: column)), at: position)
      }
    }
  }
}

/// Ends a search through zero points.
private struct ZeroOffMiddle: Error {}

extension PackedLayer {
  /// Whether any zero point is not `middle`. Reads them up to the first such one, a band at a time.
  fileprivate func hasZeroOff(middle: UInt16) throws -> Bool {
    do {
      try forEachOffsetBand(Workspace()) { offsets in
        for position in 0..<offsets.byteCount / 2 where offsets.uint16(at: position) != middle {
          throw ZeroOffMiddle()
        }
      }
      return false
    } catch is ZeroOffMiddle {
      return true
    }
  }

  /// Zero points of whole rows as one byte each. Throws `internal` where one does not fit, which a
  /// refusal must have caught before.
  fileprivate func withZeroFields(
    rows: Range<Int>, _ order: Order, _ workspace: Workspace, _ body: (RawSpan) throws -> Void
  ) throws {
    let region = Region(rows: rows, columns: 0..<form.groups)
    let limit = UInt16(1) << form.grid.bits
    try workspace.lend(region.count * 2) { zeros in
      try readOffsets(region, order, into: &zeros, workspace)
      try workspace.lend(region.count) { fields in
        guard Bytes.narrow(zeros.bytes, into: &fields) < limit else {
          throw Failure(.internal, at: name, "a zero point left its field unnoticed")
        }
        try body(fields.bytes)
      }
    }
  }
}
