internal import Kernels
internal import TensorCore

extension BitsAndBytes {
  /// BNB-14: a layer of this layout keeps its own bytes; others get plain maxima.
  public func parts(
    of layer: any PackedLayer, options: EncodingOptions
  ) throws -> [EncodedPart] {
    if let own = layer as? BitsAndBytesLayer {
      return own.claim.parts.values.map { EncodedPart(copying: $0) }
    }
    guard case .table(_, let values) = layer.form.grid, let state = Self.state(for: layer.form)
    else {
      throw Failure(
        .cannotRepresent, at: layer.name, "its groups are no blocks of the flat weight",
        expected: "groups of 32 to 4096 columns, a power of two", rule: "BNB-4",
        remedy: "--to dense")
    }
    let text = Array(state.text.utf8)
    return [
      try codes(of: layer), try maxima(of: layer, state),
      try .init("\(layer.name).\(QuantState.Part.map)", .f32, [16]) { codes, bytes, _ in
        for (position, code) in codes.enumerated() {
          bytes.set(values[code].bitPattern, at: position)
        }
      },
      try .init("\(layer.name).\(QuantState.Part.state(state.kind))", .u8, [text.count]) {
        characters, bytes, _ in
        bytes.copy(from: text.rawSpan.part(characters))
      },
    ]
  }

  /// The state of a layer that was made in memory; nil where its groups are no blocks.
  private static func state(for form: QuantizedForm) -> QuantState? {
    guard let kind = QuantState.Kind(form.grid), case .columns(let size) = form.grouping,
      QuantState.blockSizes.contains(size), form.columns % size == 0
    else { return nil }
    return QuantState(
      kind: kind, blockSize: size, dtype: .f32, rows: form.rows, columns: form.columns)
  }

  /// Two codes a byte. Bands hold an even number of rows, so each begins with a byte.
  private func codes(of layer: any PackedLayer) throws -> EncodedPart {
    let form = layer.form
    let rowBytes = form.columns / 2
    return try .init(
      "\(layer.name).\(QuantState.Part.weight)", .u8, [form.rows * rowBytes, 1],
      alignment: Region.alignment * rowBytes, order: .outputMajor
    ) { band, bytes, workspace in
      let rows = band.lowerBound / rowBytes..<band.upperBound / rowBytes
      let region = Region(rows: rows, columns: 0..<form.columns)
      try workspace.lend(region.count) { codes in
        try layer.readCodes(region, .outputMajor, into: &codes, workspace)
        Nibbles.pack(codes.bytes, into: &bytes)
      }
    }
  }

  private func maxima(of layer: any PackedLayer, _ state: QuantState) throws -> EncodedPart {
    let form = layer.form
    return try .init(
      "\(layer.name).\(QuantState.Part.absmax)", .f32, [state.blockCount],
      alignment: Region.alignment * form.groups
    ) { blocks, bytes, workspace in
      let rows = blocks.lowerBound / form.groups..<blocks.upperBound / form.groups
      let region = Region(rows: rows, columns: 0..<form.groups)
      try layer.readFloatScales(region, .outputMajor, into: &bytes, workspace)
    }
  }
}

extension EncodedPart {
  /// A tensor of the source as it is.
  init(copying tensor: Tensor) {
    let rows = tensor.shape.dimensions.first ?? 1
    let rowBytes = rows > 0 ? tensor.byteCount / rows : 0
    self.init(info: tensor.info, alignment: 1, order: nil) { range, bytes, _ in
      try tensor.read(into: &bytes, at: range.lowerBound * rowBytes)
    }
  }
}
