public import Kernels
internal import TensorCore

extension AWQGEMV {
  public func splitGroupSize(for form: QuantizedForm) -> Int? {
    PaddedGroups.splitSize(for: form)
  }

  public func refusal(of layer: LayerFacts) -> Refusal? {
    let form = layer.form
    if let refusal = PaddedGroups.refusal(of: form, in: name, rules: "GEMV") { return refusal }
    guard form.columns % 8 == 0 else {
      return Refusal(
        "\(form.columns) inputs do not fill words of 8", remedy: "--to awq", rule: "GEMV-2")
    }
    guard let zeros = layer.zeros else { return .noWholeZeros(target: name, rule: "GEMV-4") }
    guard zeros.upperBound <= 15 else {
      return Refusal(
        "a zero point of \(zeros.upperBound) does not fit 4 bits",
        remedy: "--assume-zeros mask reads full fields as 0", rule: "GEMV-4")
    }
    guard scaleTypes.contains(form.scaleType) else {
      return Refusal("scales are \(form.scaleType)", remedy: "F16 scales", rule: "GEMV-2")
    }
    return nil
  }

  public func parts(
    of layer: any PackedLayer, options: EncodingOptions
  ) throws -> [EncodedPart] {
    let form = layer.form
    guard case .columns(let size) = form.grouping,
      let width = PaddedGroups.width(columns: form.columns, size: size)
    else { throw Failure(.internal, at: layer.name, "a refused layer is to be written") }
    return [
      try .init(
        "\(layer.name).qweight", .i32, [form.rows, form.columns / 8],
        alignment: Region.alignment, order: .outputMajor
      ) { rows, words, workspace in
        let region = Region(rows: rows, columns: 0..<form.columns)
        try workspace.lend(region.count) { codes in
          try layer.readCodes(region, .outputMajor, into: &codes, workspace)
          BitStream.pack(bits: 4, codes.bytes, into: &words)
        }
      },
      try .init(
        "\(layer.name).qzeros", .i32, [form.rows, width], alignment: Region.alignment,
        make: zerosMaker(layer, width: width)),
      try .init(
        "\(layer.name).scales", form.scaleType, [form.rows, width * 8],
        alignment: Region.alignment, make: scalesMaker(layer, width: width)),
    ]
  }

  private func zerosMaker(_ layer: any PackedLayer, width: Int) -> EncodedPart.Make {
    { rows, words, workspace in
      let region = Region(rows: rows, columns: 0..<layer.form.groups)
      try workspace.lend(region.count * 2) { offsets in
        try layer.readOffsets(region, .outputMajor, into: &offsets, workspace)
        try workspace.lend(rows.count * width * 8) { fields in
          fields.clear()
          for row in 0..<rows.count {
            let groups = region.columns.count
            let zeros = offsets.bytes.part(row * groups * 2..<(row + 1) * groups * 2)
            var target = fields.part(row * width * 8..<row * width * 8 + groups)
            guard Bytes.narrow(zeros, into: &target) < 16 else {
              throw Failure(.internal, at: layer.name, "a zero point left its field unnoticed")
            }
          }
          BitStream.pack(bits: 4, fields.bytes, into: &words)
        }
      }
    }
  }

  private func scalesMaker(_ layer: any PackedLayer, width: Int) -> EncodedPart.Make {
    { rows, bytes, workspace in
      let region = Region(rows: rows, columns: 0..<layer.form.groups)
      let size = layer.form.scaleType.bits / 8
      let (real, padded) = (region.columns.count * size, width * 8 * size)
      try workspace.lend(rows.count * real) { scales in
        try layer.readScales(region, .outputMajor, into: &scales, workspace)
        bytes.clear()
        for row in 0..<rows.count {
          var target = bytes.part(row * padded..<row * padded + real)
          target.copy(from: scales.bytes.part(row * real..<(row + 1) * real))
        }
      }
    }
  }
}
