internal import Kernels
internal import TensorCore

extension GPTQ {
  public func parts(
    of layer: any PackedLayer, options: EncodingOptions
  ) throws -> [EncodedPart] {
    let form = layer.form
    let bits = form.grid.bits
    return [
      try .init(
        "\(layer.name).qweight", .i32, [form.columns * bits / 32, form.rows],
        alignment: bits, order: .inputMajor, make: codesMaker(layer)),
      try .init(
        "\(layer.name).qzeros", .i32, [form.groups, form.rows * bits / 32],
        make: zerosMaker(layer)),
      try .scales("\(layer.name).scales", of: layer),
      try .init("\(layer.name).g_idx", .i32, [form.columns]) { columns, bytes, _ in
        for (position, column) in columns.enumerated() {
          bytes.set(UInt32(form.grouping.group(ofColumn: column)), at: position)
        }
      },
    ]
  }

  private func codesMaker(_ layer: any PackedLayer) -> EncodedPart.Make {
    let bits = layer.form.grid.bits
    return { rows, words, workspace in
      let region = Region(
        rows: 0..<layer.form.rows,
        columns: rows.lowerBound * 32 / bits..<rows.upperBound * 32 / bits)
      try layer.readWords(region, .inputMajor, into: &words, workspace)
    }
  }

  /// GPTQ-10: version 1 stores the zero point minus one, which `refusal` has made sure exists.
  private func zerosMaker(_ layer: any PackedLayer) -> EncodedPart.Make {
    let bits = layer.form.grid.bits
    let subtrahend: UInt16 = version == .v1 ? 1 : 0
    return { groups, words, workspace in
      try layer.withZeroFields(groups, subtracting: subtrahend, workspace) { fields in
        BitStream.pack(bits: bits, fields, into: &words)
      }
    }
  }
}

extension PackedLayer {
  /// Zero points of whole groups as one byte each, `[group][row]`. Throws `internal` where one
  /// does not fit, which a refusal must have caught before.
  func withZeroFields(
    _ groups: Range<Int>, subtracting subtrahend: UInt16, _ workspace: Workspace,
    _ body: (RawSpan) throws -> Void
  ) throws {
    let region = Region(rows: 0..<form.rows, columns: groups)
    let limit = UInt16(1) << form.grid.bits
    try workspace.lend(region.count * 2) { zeros in
      try readOffsets(region, .inputMajor, into: &zeros, workspace)
      try workspace.lend(region.count) { fields in
        guard Bytes.narrow(zeros.bytes, subtracting: subtrahend, into: &fields) < limit else {
          throw Failure(.internal, at: name, "a zero point left its field unnoticed")
        }
        try body(fields.bytes)
      }
    }
  }
}
