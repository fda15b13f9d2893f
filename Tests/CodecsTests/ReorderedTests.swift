import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// Rows and columns in another order: every read gives what reading the whole and picking gives.
@Suite struct ReorderedTests {
  struct Stored: Sendable, CustomStringConvertible {
    let codec: any Codec
    let bits: Int
    var description: String { "\(codec.name) \(bits)" }
  }

  /// Codes down the outputs, along the inputs, and interleaved.
  private static let stored = [
    Stored(codec: GPTQ.v2, bits: 4), Stored(codec: GPTQ.v2, bits: 3),
    Stored(codec: CompressedTensors(), bits: 4), Stored(codec: AWQ(), bits: 4),
  ]

  private static func layer(
    _ stored: Stored, _ rows: Int = 96, _ columns: Int = 160
  ) throws -> any PackedLayer {
    var random = SplitMix64(seed: 0xF01D)
    let numbers = Numbers.random(
      rows, columns, bits: stored.bits, groupSize: 32, zeros: 0...7, using: &random)
    let gptq = try Opened.layer(GPTQ.v2, numbers.gptqV2(), bits: stored.bits, groupSize: 32)
    return stored.codec.name == gptq.claim.layout
      ? gptq : try Opened.rewritten(gptq, as: stored.codec)
  }

  private static func order(_ count: Int, seed: UInt64 = 3) throws -> Permutation {
    var random = SplitMix64(seed: seed)
    return try #require(Permutation((0..<Int32(count)).shuffled(using: &random)))
  }

  private static let regions = [
    Region(rows: 0..<96, columns: 0..<160), Region(rows: 32..<96, columns: 0..<160),
    Region(rows: 0..<96, columns: 64..<160), Region(rows: 32..<64, columns: 96..<128),
    Region(rows: 64..<64, columns: 0..<32),
  ]

  @Test(arguments: stored) func rowsMove(stored: Stored) throws {
    let base = try Self.layer(stored)
    let order = try Self.order(96)
    let moved = ReorderedRows(base, order)
    let whole = try QuantizedMatrix(base)
    for region in Self.regions {
      let expected = region.rows.flatMap { row in
        region.columns.map { whole.codes[Int(order.sources[row]) * 160 + $0] }
      }
      try Self.expect(moved, region, codes: expected)
      let groups = Region(
        rows: region.rows, columns: region.columns.lowerBound / 32..<region.columns.upperBound / 32)
      let places = groups.rows.flatMap { row in
        groups.columns.map { Int(order.sources[row]) * 5 + $0 }
      }
      #expect(try moved.scales(groups, .outputMajor) == places.map { whole.scales[$0] })
      #expect(try moved.offsets(groups, .outputMajor) == places.map { whole.floatOffset(at: $0) })
      let turned = try moved.scales(groups, .inputMajor)
      #expect(turned == Self.turned(places.map { whole.scales[$0] }, rows: groups.rows.count))
    }
  }

  @Test(arguments: stored) func columnsMove(stored: Stored) throws {
    let base = try Self.layer(stored)
    let order = try Self.order(160)
    let moved = ReorderedColumns(base, order)
    let whole = try QuantizedMatrix(base)
    for region in Self.regions {
      let expected = region.rows.flatMap { row in
        region.columns.map { whole.codes[row * 160 + Int(order.sources[$0])] }
      }
      try Self.expect(moved, region, codes: expected)
    }
    #expect(moved.form.grouping.isPermuted)
    for row in [0, 50, 95] {
      for column in 0..<160 {
        let source = Int(order.sources[column])
        #expect(
          try QuantizedMatrix(moved).weight(row: row, column: column)
            == whole.weight(row: row, column: source))
      }
    }
    // Groups that lie scattered are neighbours again.
    let sorting = Permutation(sortingGroupsOf: moved.form.grouping, columns: 160)
    #expect(ReorderedColumns(moved, sorting).form.grouping == .columns(size: 32))
    let back = ReorderedColumns(moved, order.inverse)
    #expect(back.form == base.form)
    #expect(try QuantizedMatrix(back).codes == whole.codes)
  }

  /// Codes in both orders, and the words they fill.
  private static func expect(
    _ layer: any PackedLayer, _ region: Region, codes: [UInt8]
  ) throws {
    #expect(try layer.codes(region, .outputMajor) == codes)
    #expect(try layer.codes(region, .inputMajor) == turned(codes, rows: region.rows.count))
    let bits = layer.form.grid.bits
    let workspace = Workspace()
    for order in [Order.outputMajor, .inputMajor] {
      let size = region.count * bits / 8
      let words = try workspace.lend(size) { words in
        try layer.readWords(region, order, into: &words, workspace)
        return words.bytes.array
      }
      let packed = workspace.lend(size) { words in
        switch order {
        case .outputMajor: BitStream.pack(bits: bits, codes.rawSpan, into: &words)
        case .inputMajor:
          WordRows.pack(
            bits: bits, turned(codes, rows: region.rows.count).rawSpan, columns: region.rows.count,
            into: &words)
        }
        return words.bytes.array
      }
      #expect(words == packed)
    }
  }

  /// `[row][column]` as `[column][row]`.
  private static func turned<Element>(_ values: [Element], rows: Int) -> [Element] {
    guard rows > 0 else { return [] }
    let columns = values.count / rows
    return (0..<columns).flatMap { column in (0..<rows).map { values[$0 * columns + column] } }
  }

  /// What does not fit in one go is read in several, whichever axis is cut.
  @Test(arguments: [true, false], [Order.inputMajor, .outputMajor])
  func longLinesAreCut(isAlongOutputs: Bool, order stored: Order) throws {
    let (rows, columns) = isAlongOutputs ? (1 << 16, 64) : (64, 1 << 16)
    let base = try Constant(rows, columns, stored)
    let order = try Self.order(isAlongOutputs ? rows : columns)
    let moved: any PackedLayer =
      isAlongOutputs ? ReorderedRows(base, order) : ReorderedColumns(base, order)
    let region = Region(rows: 0..<rows, columns: 0..<columns)
    let found = try moved.codes(region, isAlongOutputs ? .inputMajor : .outputMajor)
    let line = found[40 << 16..<41 << 16]
    #expect(line.elementsEqual(order.sources.map { UInt8(truncatingIfNeeded: Int($0) + 40) & 15 }))
  }

  @Test func permutationsAreChecked() throws {
    #expect(Permutation([0, 2, 2]) == nil)
    #expect(Permutation([0, 3, 1]) == nil)
    #expect(Permutation([0, -1, 1]) == nil)
    let order = try Self.order(50)
    #expect(order.inverse.inverse == order)
    for (place, source) in order.sources.enumerated() {
      #expect(order.inverse.sources[Int(source)] == Int32(place))
    }
    let grouping = Grouping.map(groups: [1, 0, 1, 0, 2], count: 3)
    let sorting = Permutation(sortingGroupsOf: grouping, columns: 5)
    #expect(sorting.sources == [1, 3, 0, 2, 4])
    #expect(grouping.reordered(by: sorting, columns: 5) == .columns(size: 2))
    let uneven = Grouping.map(groups: [1, 0, 1, 0, 1], count: 2)
    let order5 = Permutation(sortingGroupsOf: uneven, columns: 5)
    #expect(uneven.reordered(by: order5, columns: 5).isPermuted)
    let empty = Grouping.map(groups: [2, 0, 0, 2], count: 3)
    let order4 = Permutation(sortingGroupsOf: empty, columns: 4)
    #expect(empty.reordered(by: order4, columns: 4).isPermuted)
  }
}

/// A layer whose codes are the sum of row and column, in one order.
private struct Constant: PackedLayer {
  let claim: LayerClaim
  let form: QuantizedForm
  let order: Order

  init(_ rows: Int, _ columns: Int, _ order: Order) throws {
    self.order = order
    claim = LayerClaim(
      name: "layer", layout: "none", rows: rows, columns: columns, bits: 4, groupSize: columns,
      parts: [:])
    form = QuantizedForm(
      rows: rows, columns: columns, grid: .affine(bits: 4), grouping: .columns(size: columns),
      scaleType: .f16, offset: .none)
  }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    var place = 0
    for major in self.order == .inputMajor ? region.columns : region.rows {
      for minor in self.order == .inputMajor ? region.rows : region.columns {
        codes.set(UInt8(truncatingIfNeeded: major + minor) & 15, at: place)
        place += 1
      }
    }
  }

  func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {}

  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {}
}
