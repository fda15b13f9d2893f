import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// What must hold of every layer that is opened, whatever its layout.
enum DecodeChecks {
  /// The layer's numbers are those that its writer's own code reads, bit for bit.
  static func agrees(_ layer: any PackedLayer, with expected: Expected) throws -> String? {
    let matrix = try QuantizedMatrix(layer)
    if let found = mismatch(matrix.codes, expected.codes) { return "codes \(found)" }
    if let found = mismatch(matrix.zeros, expected.zeros) { return "zeros \(found)" }
    if let found = mismatch(matrix.scales, expected.scales, by: .sameBits) {
      return "scales \(found)"
    }
    if let found = mismatch(matrix.offsets, expected.offsets, by: .sameBits) {
      return "offsets \(found)"
    }
    if let index = expected.groupIndex {
      let groups = (0..<matrix.form.columns).map {
        Int32(matrix.form.grouping.group(ofColumn: $0))
      }
      if let found = mismatch(groups, index) { return "groups \(found)" }
    }
    guard let weights = expected.weights else { return nil }
    return mismatch(matrix.dequantized(), weights, by: .sameBits).map { "weights \($0)" }
  }

  /// The layer's weights alone are those that its writer's own code reads, bit for bit.
  static func weighsAlike(_ layer: any PackedLayer, with expected: Expected) throws -> String? {
    guard let weights = expected.weights else { return nil }
    return try mismatch(QuantizedMatrix(layer).dequantized(), weights, by: .sameBits)
  }

  /// Regions, orders and weights agree with the whole matrix read at once.
  static func readsAlike(_ layer: any PackedLayer, using random: inout SplitMix64) throws {
    let matrix = try QuantizedMatrix(layer)
    let form = layer.form
    for _ in 0..<8 {
      let rows = range(form.rows, &random)
      try checkCodes(layer, matrix, Region(rows: rows, columns: range(form.columns, &random)))
      let first = Int.random(in: 0..<form.groups, using: &random)
      let groups = first..<Int.random(in: first + 1...form.groups, using: &random)
      try checkParameters(layer, matrix, Region(rows: rows, columns: groups))
    }
    try checkWeights(layer, matrix)
  }

  /// Weights of rows at once, and of each column that a region may begin at.
  private static func checkWeights(
    _ layer: any PackedLayer, _ matrix: QuantizedMatrix
  ) throws {
    let form = layer.form
    let weights = matrix.dequantized()
    let bands = try form.bands(.outputMajor, bytes: 1).flatMap { try layer.weights($0) }
    #expect(mismatch(bands, weights, by: .sameBits) == nil)
    for first in stride(from: 0, to: form.columns, by: Region.alignment) {
      if case .columns(let size) = form.grouping, first % size != 0 { continue }
      for end in [min(first + Region.alignment, form.columns), form.columns] {
        let region = Region(rows: 0..<form.rows, columns: first..<end)
        let expected = region.rows.flatMap { row in
          region.columns.map { weights[row * form.columns + $0] }
        }
        #expect(try mismatch(layer.weights(region), expected, by: .sameBits) == nil, "\(region)")
      }
    }
  }

  /// A range that begins on a multiple of 32 and ends on one or at the edge.
  private static func range(_ count: Int, _ random: inout SplitMix64) -> Range<Int> {
    let blocks = count.dividedRoundingUp(by: Region.alignment)
    let first = Int.random(in: 0..<blocks, using: &random)
    let last = Int.random(in: first + 1...blocks, using: &random)
    return first * Region.alignment..<min(last * Region.alignment, count)
  }

  private static func checkCodes(
    _ layer: any PackedLayer, _ matrix: QuantizedMatrix, _ region: Region
  ) throws {
    let columns = matrix.form.columns
    let rowMajor = region.rows.flatMap { row in
      region.columns.map { matrix.codes[row * columns + $0] }
    }
    let columnMajor = region.columns.flatMap { column in
      region.rows.map { matrix.codes[$0 * columns + column] }
    }
    try checkWords(layer, region)
    #expect(try mismatch(layer.codes(region, .outputMajor), rowMajor) == nil, "\(region)")
    #expect(try mismatch(layer.codes(region, .inputMajor), columnMajor) == nil, "\(region)")
  }

  /// Words as a layer hands them out are its codes, packed.
  private static func checkWords(_ layer: any PackedLayer, _ region: Region) throws {
    let bits = layer.form.grid.bits
    guard region.columns.count * bits % 32 == 0 else { return }
    let workspace = Workspace()
    for order in [Order.outputMajor, .inputMajor] {
      let codes = try workspace.lend(region.count * bits / 8) { words in
        try layer.readWords(region, order, into: &words, workspace)
        return workspace.lend(region.count) { codes in
          switch order {
          case .outputMajor: BitStream.unpack(bits: bits, words.bytes, into: &codes)
          case .inputMajor:
            WordRows.unpack(
              bits: bits, words.bytes, columns: region.rows.count, into: &codes)
          }
          return codes.bytes.array
        }
      }
      #expect(try mismatch(layer.codes(region, order), codes) == nil, "\(region) \(order)")
    }
  }

  private static func checkParameters(
    _ layer: any PackedLayer, _ matrix: QuantizedMatrix, _ region: Region
  ) throws {
    let groups = matrix.form.groups
    let rowMajor = region.rows.flatMap { row in region.columns.map { row * groups + $0 } }
    let groupMajor = region.columns.flatMap { group in
      region.rows.map { $0 * groups + group }
    }
    for (order, positions) in [(Order.outputMajor, rowMajor), (.inputMajor, groupMajor)] {
      let offsets =
        matrix.form.offset == .none ? [] : positions.map { matrix.floatOffset(at: $0) }
      #expect(try mismatch(layer.offsets(region, order), offsets, by: .sameBits) == nil)
      let scales = positions.map { matrix.scales[$0] }
      #expect(try mismatch(layer.scales(region, order), scales, by: .sameBits) == nil)
    }
  }

  /// Numbers read from `layer` are those of `matrix`, its terms read as whole zero points.
  static func recovers(_ layer: any PackedLayer, _ matrix: QuantizedMatrix) throws -> String? {
    let recovered = try QuantizedMatrix(RecoveredZeros(layer, Workspace()))
    if let found = mismatch(recovered.codes, matrix.codes) { return "codes \(found)" }
    if let found = mismatch(recovered.zeros, matrix.zeros) { return "zeros \(found)" }
    return mismatch(recovered.scales, matrix.scales, by: .sameBits).map { "scales \($0)" }
  }

  /// Writing a layer in its own layout, in bands of several sizes, gives the file's own bytes.
  static func writesAlike(_ layer: any PackedLayer, _ codec: any Codec) throws {
    let parts = try codec.parts(of: layer, options: EncodingOptions())
    let names = Set(parts.map { String($0.info.name.dropFirst(layer.name.count + 1)) })
    #expect(names.isSuperset(of: layer.claim.parts.keys))
    for part in parts {
      let name = String(part.info.name.dropFirst(layer.name.count + 1))
      guard let original = layer.claim.parts[name] else {
        // Some writers leave the group index out.
        #expect(name == "g_idx" && !layer.form.grouping.isPermuted)
        continue
      }
      #expect(part.info == original.info)
      let bytes = try original.content()
      for step in [1, 2, 3, 1 << 20] {
        #expect(try mismatch(Opened.bytes(of: part, step: step), bytes) == nil, "\(name) \(step)")
      }
    }
  }
}
