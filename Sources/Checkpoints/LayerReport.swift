public import Codecs
public import Kernels
public import TensorCore

/// The decoded numbers of one packed layer, summed up.
public struct LayerReport: Sendable {
  /// The upper left corner of the matrix, as many rows and columns as were asked for.
  public struct Corner: Sendable {
    public let codes: [[UInt8]]
    public let weights: [[Float]]
    /// `[rows][groups]`, the first groups only.
    public let scales: [[Float]]
    public let offsets: [[Float]]
  }

  public let name: String
  public let form: QuantizedForm
  public let corner: Corner
  /// How often each code occurs.
  public let codes: [Int]
  /// How often each whole zero point occurs, from the smallest to the largest.
  public let zeros: [(value: Int, count: Int)]
  public let scales: FloatStatistics
  public let weights: FloatStatistics
  /// Groups all of whose weights are zero.
  public let deadGroups: Int
  /// Zero-point fields whose meaning is not settled (GPTQ-12).
  public let ambiguousZeros: Int
  /// What the layout says of the layer besides.
  public let remarks: JSONObject

  /// Decodes the whole layer in bands. Throws `io`.
  public init(_ layer: any PackedLayer, corner size: Int = 8) throws {
    let workspace = Workspace()
    var counts = [UInt64](repeating: 0, count: 256)
    var weights = FloatStatistics()
    var scales = FloatStatistics()
    var zeros: [Int: Int] = [:]
    var dead = 0
    let form = layer.form
    for band in form.bands(.outputMajor, bytes: BandSize.turned / 4) {
      try layer.addCodes(of: band, to: &counts, workspace)
      try workspace.lend(band.count * 4) { values in
        try layer.readWeights(band, into: &values, workspace)
        weights.merge(FloatStatistics(values.bytes))
        dead += form.deadGroups(in: values.bytes, rows: band.rows.count)
      }
      let parameters = Region(rows: band.rows, columns: 0..<form.groups)
      try workspace.lend(parameters.count * 4) { values in
        try layer.readFloatScales(parameters, .outputMajor, into: &values, workspace)
        scales.merge(FloatStatistics(values.bytes))
      }
      guard form.offset == .integer else { continue }
      try workspace.lend(parameters.count * 2) { values in
        try layer.readOffsets(parameters, .outputMajor, into: &values, workspace)
        for index in 0..<parameters.count {
          zeros[Int(values.bytes.uint16(at: index)), default: 0] += 1
        }
      }
    }
    name = layer.name
    self.form = form
    corner = try Corner(layer, size: size, workspace)
    codes = counts.prefix(1 << form.grid.bits).map(Int.init)
    self.zeros = zeros.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    self.scales = scales
    self.weights = weights
    deadGroups = dead
    ambiguousZeros = try layer.countAmbiguousOffsets(workspace)
    remarks = try layer.remarks(workspace)
  }
}

extension LayerReport.Corner {
  init(_ layer: any PackedLayer, size: Int, _ workspace: Workspace) throws {
    let form = layer.form
    // Regions end on the alignment or at the edge, so a little more may be read than is shown.
    let reach = size.dividedRoundingUp(by: Region.alignment) * Region.alignment
    let rows = 0..<min(reach, form.rows)
    let shown = (rows: min(size, form.rows), columns: min(size, form.columns))
    let groups = min(size, form.groups)
    let region = Region(rows: rows, columns: 0..<min(reach, form.columns))
    codes = try workspace.lend(region.count) { bytes in
      try layer.readCodes(region, .outputMajor, into: &bytes, workspace)
      return (0..<shown.rows).map { row in
        (0..<shown.columns).map { bytes.bytes.uint8(at: row * region.columns.count + $0) }
      }
    }
    weights = try workspace.lend(rows.count * form.columns * 4) { bytes in
      let whole = Region(rows: rows, columns: 0..<form.columns)
      try layer.readWeights(whole, into: &bytes, workspace)
      return (0..<shown.rows).map { row in
        (0..<shown.columns).map { bytes.bytes.float32(at: row * form.columns + $0) }
      }
    }
    let parameters = Region(rows: rows, columns: 0..<form.groups)
    scales = try workspace.lend(parameters.count * 4) { bytes in
      try layer.readFloatScales(parameters, .outputMajor, into: &bytes, workspace)
      return (0..<shown.rows).map { row in
        (0..<groups).map { bytes.bytes.float32(at: row * form.groups + $0) }
      }
    }
    guard form.offset != .none else {
      offsets = []
      return
    }
    offsets = try workspace.lend(parameters.count * 4) { bytes in
      try layer.readFloatOffsets(parameters, .outputMajor, into: &bytes, workspace)
      return (0..<shown.rows).map { row in
        (0..<groups).map { bytes.bytes.float32(at: row * form.groups + $0) }
      }
    }
  }
}

extension PackedLayer {
  fileprivate func addCodes(
    of band: Region, to counts: inout [UInt64], _ workspace: Workspace
  ) throws {
    try workspace.lend(band.count) { codes in
      try readCodes(band, .outputMajor, into: &codes, workspace)
      Bytes.addHistogram(of: codes.bytes, to: &counts)
    }
  }
}

extension QuantizedForm {
  /// Groups without a weight other than zero, in whole rows of float32 weights.
  fileprivate func deadGroups(in weights: RawSpan, rows: Int) -> Int {
    var dead = 0
    var alive = [Bool](repeating: false, count: groups)
    for row in 0..<rows {
      for group in alive.indices { alive[group] = false }
      for column in 0..<columns where weights.float32(at: row * columns + column) != 0 {
        alive[grouping.group(ofColumn: column)] = true
      }
      dead += alive.count { !$0 }
    }
    return dead
  }
}
