internal import Codecs
internal import Kernels
internal import TensorCore

/// What the zero-point fields of one GPTQ layer show, whatever the config says of them.
struct LayerForensics: Sendable {
  let name: String
  let bits: Int
  private(set) var counts: [Int]
  /// The middle of the code range less the zero point.
  private(set) var centre: [GPTQ.Version: (strips: [Double], rows: [Double])] = [:]
  /// Code less zero point; empty where codes were not read.
  private(set) var shift: [GPTQ.Version: (strips: [Double], rows: [Double])] = [:]

  var fields: Int { counts.reduce(0, +) }
  var lowest: Int { counts.firstIndex { $0 > 0 } ?? 0 }
  var highest: Int { counts.lastIndex { $0 > 0 } ?? 0 }
  private var middle: Int { 1 << (bits - 1) }

  /// The version in which the layer is symmetric. 32 equal fields are no accident.
  var symmetricVersion: GPTQ.Version? {
    guard fields >= 32, lowest == highest else { return nil }
    return lowest == middle ? .v2 : lowest == middle - 1 ? .v1 : nil
  }

  /// Reads the first `groups` groups of fields, and a sample of the codes where `codes` is set.
  /// Throws `io`, and `malformed` where the layer can't be opened.
  init(
    _ claim: LayerClaim, in checkpoint: Checkpoint, groups: Int, codes: Bool,
    _ workspace: Workspace
  ) throws {
    name = claim.name
    bits = claim.bits
    counts = [Int](repeating: 0, count: 1 << claim.bits)
    var readings: [GPTQ.Version: any PackedLayer] = [:]
    for version in GPTQ.Version.allCases {
      readings[version] = try checkpoint.open(claim, version: version)
    }
    try countFields(readings, groups: min(groups, claim.groups), workspace)
    guard codes, symmetricVersion == nil else { return }
    try compareCodes(readings, workspace)
  }

  private mutating func countFields(
    _ readings: [GPTQ.Version: any PackedLayer], groups: Int, _ workspace: Workspace
  ) throws {
    let centre = Double(1 << bits - 1) / 2
    for (version, layer) in readings {
      let rows = layer.form.rows
      var strips: [Double] = []
      var rowSums = [Double](repeating: 0, count: rows)
      for group in 0..<groups {
        var sum = 0.0
        let region = Region(rows: 0..<rows, columns: group..<group + 1)
        try workspace.lend(rows * 2) { zeros in
          try layer.readOffsets(region, .inputMajor, into: &zeros, workspace)
          for row in 0..<rows {
            let zero = zeros.bytes.uint16(at: row)
            // Version 2 hands the fields out as they are stored.
            if version == .v2 { counts[Int(zero)] += 1 }
            sum += centre - Double(zero)
            rowSums[row] += centre - Double(zero)
          }
        }
        strips.append(sum / Double(rows))
      }
      self.centre[version] = (strips, rowSums.map { $0 / Double(max(groups, 1)) })
    }
  }

  /// Strips of 32 columns, at most eight, spread over the layer.
  private static func strips(of form: QuantizedForm) -> [Range<Int>] {
    let all = form.columns.dividedRoundingUp(by: Region.alignment)
    let taken = min(all, 8)
    return (0..<taken).map { index in
      let start = all * index / taken * Region.alignment
      return start..<min(start + Region.alignment, form.columns)
    }
  }

  private mutating func compareCodes(
    _ readings: [GPTQ.Version: any PackedLayer], _ workspace: Workspace
  ) throws {
    guard let stored = readings[.v2] else { return }
    let form = stored.form
    var rowSums = readings.mapValues { _ in [Int](repeating: 0, count: form.rows) }
    var stripMeans = readings.mapValues { _ in [Double]() }
    var columns = 0
    for strip in Self.strips(of: form) {
      columns += strip.count
      let codes = try Self.sums(of: stored, strip, workspace)
      for (version, layer) in readings {
        let zeros = try Self.zeroSums(of: layer, strip, workspace)
        var sum = 0
        for row in 0..<form.rows {
          let difference = codes[row] - zeros[row]
          rowSums[version]?[row] += difference
          sum += difference
        }
        stripMeans[version]?.append(Double(sum) / Double(form.rows * strip.count))
      }
    }
    for version in readings.keys {
      let rows = rowSums[version]?.map { Double($0) / Double(columns) } ?? []
      shift[version] = (stripMeans[version] ?? [], rows)
    }
  }

  /// The sum of the codes of each row of a strip.
  private static func sums(
    of layer: any PackedLayer, _ strip: Range<Int>, _ workspace: Workspace
  ) throws -> [Int] {
    let rows = layer.form.rows
    var sums = [Int](repeating: 0, count: rows)
    let region = Region(rows: 0..<rows, columns: strip)
    try workspace.lend(region.count) { codes in
      try layer.readCodes(region, .inputMajor, into: &codes, workspace)
      let bytes = codes.bytes
      for column in 0..<strip.count {
        for row in 0..<rows { sums[row] += Int(bytes.uint8(at: column * rows + row)) }
      }
    }
    return sums
  }

  /// The sum of the zero points that belong to the codes of each row of a strip.
  private static func zeroSums(
    of layer: any PackedLayer, _ strip: Range<Int>, _ workspace: Workspace
  ) throws -> [Int] {
    let rows = layer.form.rows
    var members: [Int: Int] = [:]
    for column in strip { members[layer.form.grouping.group(ofColumn: column), default: 0] += 1 }
    var sums = [Int](repeating: 0, count: rows)
    try workspace.lend(rows * 2) { zeros in
      for (group, count) in members {
        let region = Region(rows: 0..<rows, columns: group..<group + 1)
        try layer.readOffsets(region, .inputMajor, into: &zeros, workspace)
        let bytes = zeros.bytes
        for row in 0..<rows { sums[row] += count * Int(bytes.uint16(at: row)) }
      }
    }
    return sums
  }
}
