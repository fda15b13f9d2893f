import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

@Suite struct PaddedLayerTests {
  private static func layer(
    _ rows: Int = 64, _ columns: Int = 128, groupSize: Int = 32
  ) throws -> any PackedLayer {
    var random = SplitMix64(seed: 0x9ADD)
    let numbers = Numbers.random(
      rows, columns, bits: 4, groupSize: groupSize, zeros: 0...15, using: &random)
    return try Opened.layer(GPTQ.v2, numbers.gptqV2(), groupSize: groupSize)
  }

  /// What was stored stays, what is new is zero: all parts, both orders, regions across the edge.
  @Test func newWeightsAreZero() throws {
    let base = try Self.layer()
    let padded = try #require(PaddedLayer(base, rows: 96, columns: 192))
    #expect(padded.form.groups == 6)
    #expect((padded.addedRows, padded.addedColumns) == (32, 64))
    let old = try QuantizedMatrix(base)
    let new = try QuantizedMatrix(padded)
    for row in 0..<96 {
      for column in 0..<192 {
        let isOld = row < 64 && column < 128
        #expect(
          new.weight(row: row, column: column) == (isOld ? old.weight(row: row, column: column) : 0)
        )
      }
    }
    #expect(new.zeros[(70 * 6)...].allSatisfy { $0 == 8 })
    #expect(new.scales[(70 * 6)...].allSatisfy { $0 == 1 })
  }

  @Test(arguments: [
    Region(rows: 32..<96, columns: 96..<192), Region(rows: 64..<96, columns: 0..<32),
    Region(rows: 0..<64, columns: 128..<160), Region(rows: 0..<32, columns: 0..<128),
  ])
  func bothOrdersAgree(region: Region) throws {
    let padded = try #require(PaddedLayer(Self.layer(), rows: 96, columns: 192))
    let whole = try QuantizedMatrix(padded)
    let rows = try padded.codes(region, .outputMajor)
    let columns = try padded.codes(region, .inputMajor)
    for (r, row) in region.rows.enumerated() {
      for (c, column) in region.columns.enumerated() {
        let code = whole.codes[row * 192 + column]
        #expect(rows[r * region.columns.count + c] == code)
        #expect(columns[c * region.rows.count + r] == code)
      }
    }
    let groups = Region(
      rows: region.rows, columns: region.columns.lowerBound / 32..<region.columns.upperBound / 32)
    let turned = try padded.scales(groups, .inputMajor)
    let straight = try padded.scales(groups, .outputMajor)
    let zeros = try padded.offsets(groups, .inputMajor)
    for (r, row) in groups.rows.enumerated() {
      for (g, group) in groups.columns.enumerated() {
        #expect(turned[g * groups.rows.count + r] == whole.scales[row * 6 + group])
        #expect(straight[r * groups.columns.count + g] == whole.scales[row * 6 + group])
        #expect(zeros[g * groups.rows.count + r] == Float(whole.zeros[row * 6 + group]))
      }
    }
  }

  @Test func writtenAndReadBackInEachLayout() throws {
    let padded = try #require(PaddedLayer(Self.layer(), rows: 96, columns: 192))
    for codec in [GPTQ.v2, AWQ()] as [any Codec] {
      #expect(
        try QuantizedMatrix(Opened.rewritten(padded, as: codec)) == QuantizedMatrix(padded))
    }
  }

  @Test func activationOrderGainsGroups() throws {
    var random = SplitMix64(seed: 0x9ADE)
    var numbers = Numbers.random(
      32, 64, bits: 4, groupSize: 32, zeros: 0...15, using: &random)
    numbers.groups = (0..<64).map { Int32($0 % 2) }
    let base = try Opened.layer(GPTQ.v2, numbers.gptqV2(), groupSize: 32)
    let padded = try #require(PaddedLayer(base, rows: 32, columns: 128))
    let expected = numbers.groups + (0..<64).map { Int32(2 + $0 / 32) }
    #expect(padded.form.grouping == .map(groups: expected, count: 4))
    let new = try QuantizedMatrix(padded)
    #expect((64..<128).allSatisfy { new.weight(row: 5, column: $0) == 0 })
  }

  @Test func groupsDoNotGrow() throws {
    #expect(PaddedLayer(try Self.layer(groupSize: -1), rows: 64, columns: 160) == nil)
    #expect(PaddedLayer(try Self.layer(), rows: 64, columns: 144) == nil)
    #expect(PaddedLayer(try Self.layer(), rows: 32, columns: 128) == nil)
    #expect(PaddedLayer(try Self.layer(groupSize: -1), rows: 96, columns: 128) != nil)
  }
}
