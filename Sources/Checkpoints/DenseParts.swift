import Codecs
import Kernels
import TensorCore

/// The dense tensors that packed layers become.
struct DenseParts {
  let type: DType

  /// One tensor for each dense place; slices of one place stand behind each other.
  func parts(of layers: [any PackedLayer]) throws -> [(part: EncodedPart, layer: any PackedLayer)] {
    var places: [(place: DensePlace, layers: [any PackedLayer])] = []
    var positions: [String: Int] = [:]
    for layer in layers {
      let place = layer.claim.dense
      if let position = positions[place.name] {
        places[position].layers.append(layer)
      } else {
        positions[place.name] = places.count
        places.append((place, [layer]))
      }
    }
    return try places.map { place, layers in
      let sorted = layers.sorted { ($0.claim.slice?.index ?? 0) < ($1.claim.slice?.index ?? 0) }
      return (try part(place, sorted), sorted[0])
    }
  }

  private func part(_ place: DensePlace, _ layers: [any PackedLayer]) throws -> EncodedPart {
    let form = layers[0].form
    let matrix = place.isTransposed ? [form.columns, form.rows] : [form.rows, form.columns]
    guard layers[0].claim.slice != nil else {
      return try place.isTransposed
        ? turned(layers[0], named: place.name) : whole(layers[0], named: place.name, matrix)
    }
    guard layers.allSatisfy({ $0.form.rows == form.rows && $0.form.columns == form.columns }) else {
      throw Failure(.malformed, at: place.name, "slices of one tensor differ in shape")
    }
    guard layers.compactMap({ $0.claim.slice?.index }) == Array(0..<layers.count),
      layers[0].claim.slice?.count == layers.count
    else {
      throw Failure(.internal, at: place.name, "slices of one tensor were taken apart")
    }
    return try EncodedPart(place.name, type, [layers.count] + matrix, order: .outputMajor) {
      slices, bytes, workspace in
      let size = bytes.byteCount / slices.count
      for (position, slice) in slices.enumerated() {
        var target = bytes.part(position * size..<(position + 1) * size)
        try writeSlice(layers[slice], place, into: &target, workspace)
      }
    }
  }

  private func whole(
    _ layer: any PackedLayer, named name: String, _ matrix: [Int]
  ) throws -> EncodedPart {
    var part = try EncodedPart(
      name, type, matrix, alignment: Region.alignment, order: .outputMajor
    ) { rows, bytes, workspace in
      try write(layer, rows, into: &bytes, workspace)
    }
    part.makeStrips = { rows, workspace, body in
      try layer.readRounded(rows, as: type, workspace) { strip, bytes in
        if type == .f16 { try checkRange(bytes, of: layer, strip.whole(of: layer), workspace) }
        try body(strip, bytes)
      }
    }
    return part
  }

  /// A matrix whose place is `[inputs, outputs]`, in bands of inputs.
  private func turned(_ layer: any PackedLayer, named name: String) throws -> EncodedPart {
    let form = layer.form
    return try EncodedPart(
      name, type, [form.columns, form.rows], alignment: Region.alignment, order: .inputMajor
    ) { columns, bytes, workspace in
      let region = Region(rows: 0..<form.rows, columns: columns)
      try workspace.lend(region.count * 4) { weights in
        try layer.readWeights(region, into: &weights, workspace)
        try workspace.lend(region.count * 4) { turned in
          Transpose.words(
            weights.bytes, rows: form.rows, columns: columns.count, into: &turned)
          try FloatConversion.fromFloat32(type, turned.bytes, into: &bytes)
        }
      }
      if type == .f16 { try checkRange(bytes.bytes, of: layer, region, workspace) }
    }
  }

  private func write(
    _ layer: any PackedLayer, _ rows: Range<Int>, into bytes: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws {
    try layer.readRounded(rows, as: type, into: &bytes, workspace)
    if type == .f16 {
      try checkRange(bytes.bytes, of: layer, rows.whole(of: layer), workspace)
    }
  }

  /// A whole matrix, turned where its place is `[inputs, outputs]`, a strip of rows at a time.
  private func writeSlice(
    _ layer: any PackedLayer, _ place: DensePlace, into bytes: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws {
    let form = layer.form
    let size = type.bits / 8
    for band in form.bands(.outputMajor, bytes: BandSize.matched) {
      try workspace.lend(band.count * size) { strip in
        try write(layer, band.rows, into: &strip, workspace)
        guard place.isTransposed else {
          let start = band.rows.lowerBound * form.columns * size
          var target = bytes.part(start..<start + strip.byteCount)
          return target.copy(from: strip.bytes)
        }
        workspace.lend(strip.byteCount) { turned in
          turn(strip.bytes, rows: band.rows.count, columns: form.columns, into: &turned)
          let width = band.rows.count * size
          for column in 0..<form.columns {
            let start = (column * form.rows + band.rows.lowerBound) * size
            var target = bytes.part(start..<start + width)
            target.copy(from: turned.bytes.part(column * width..<(column + 1) * width))
          }
        }
      }
    }
  }

  private func turn(
    _ source: RawSpan, rows: Int, columns: Int, into target: inout MutableRawSpan
  ) {
    if type.bits == 16 {
      Transpose.halves(source, rows: rows, columns: columns, into: &target)
    } else {
      Transpose.words(source, rows: rows, columns: columns, into: &target)
    }
  }

  /// F16 ends at 65504: a finite weight beyond it would become infinite.
  private func checkRange(
    _ bytes: RawSpan, of layer: any PackedLayer, _ region: Region, _ workspace: Workspace
  ) throws {
    let count = bytes.byteCount / 2
    try workspace.lend(count * 4) { floats in
      try FloatConversion.toFloat32(type, bytes, into: &floats)
      guard FloatStatistics(floats.bytes).infiniteCount > 0 else { return }
      try layer.readWeights(region, into: &floats, workspace)
      let values = FloatStatistics(floats.bytes)
      throw Failure(
        .cannotRepresent, at: layer.name, "weights leave the range of F16",
        expected: "at most 65504", found: "\(max(values.maximum, -values.minimum))",
        remedy: "--dtype bf16 or f32")
    }
  }
}

extension Range<Int> {
  /// These rows of a layer.
  fileprivate func whole(of layer: any PackedLayer) -> Region {
    Region(rows: self, columns: 0..<layer.form.columns)
  }
}
