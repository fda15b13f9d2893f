import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

@Suite("GPTQ's edges")
struct GPTQEdgesTests {
  private let weight = Matrix(
    rows: 2, columns: 4, values: [0.5, -1, 0.25, 1, -0.5, 0.75, 1, -0.25])
  /// The third input is 0 for all tokens.
  private let dead: [Float] = [2, 1, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]

  private func hessian(_ values: [Float]) throws -> Hessian {
    try Hessian(values, columns: 4, tokens: 3, name: "layer")
  }

  @Test("dead columns become 0")
  func deadColumns() throws {
    for order in GPTQuantizer.Order.allCases {
      var settings = GPTQuantizer(UniformGrid(groupSize: 2))
      settings.order = order
      let layer = try settings.quantize(weight, hessian(dead), name: "layer")
      #expect(layer.report.deadColumns == 1 && layer.report.fallback == nil)
      #expect(layer.report.tokens == 3)
      for row in 0..<2 { #expect(layer.matrix.weight(row: row, column: 2) == 0) }
    }
  }

  @Test("a map of columns only where groups are not neighbours")
  func groupings() throws {
    var settings = GPTQuantizer(UniformGrid(groupSize: 2))
    settings.order = .descending
    let diagonal: [Float] = [1, 0, 0, 0, 0, 4, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3]
    let grouping = {
      try settings.quantize(weight, hessian(diagonal), name: "layer").matrix.form.grouping
    }
    #expect(try grouping() == .map(groups: [1, 0, 1, 0], count: 2))
    settings.hasStaticGroups = true
    #expect(try grouping() == .columns(size: 2))
    settings.order = .groupAware
    settings.hasStaticGroups = false
    #expect(try grouping() == .columns(size: 2))
    settings.order = .descending
    settings.grid.groupSize = nil
    #expect(try grouping() == .columns(size: 4))
  }

  @Test("a Hessian that is not positive")
  func notPositive() throws {
    // Once more damping makes it positive, once nothing does.
    var values: [Float] = [1, 1.1, 0, 0, 1.1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    var settings = GPTQuantizer(UniformGrid(groupSize: nil))
    let climbed = try settings.quantize(weight, hessian(values), name: "layer")
    #expect(climbed.report.fallback == nil)
    #expect(try #require(climbed.report.damp) > 0.09 && climbed.report.damp ?? 1 < 0.12)
    settings.dampAutoIncrement = 0
    let floored = try settings.quantize(weight, hessian(values), name: "layer")
    #expect(floored.report.diagonalFloor != nil && floored.report.fallback == nil)
    for index in [1, 4] { values[index] = 100 }
    let rounded = try settings.quantize(weight, hessian(values), name: "layer")
    #expect(rounded.report.fallback?.contains("not positive") == true)
    let nearest = try RTN(settings.grid).quantize(weight, name: "layer")
    #expect(rounded.matrix == nearest.matrix)
    settings.isStrict = true
    let failure = #expect(throws: Failure.self) {
      try settings.quantize(weight, hessian(values), name: "layer")
    }
    #expect(failure?.place == "layer" && failure?.kind == .cannotRepresent)
  }

  @Test("numbers that are not finite are named")
  func notFinite() throws {
    for value in [Float.nan, .infinity, 1e30] {
      let sum = HessianSum(columns: 3, name: "block 2, q_proj")
      sum.add([1, 2, 3, 1, value, 3])
      let failure = #expect(throws: Failure.self) { try sum.finish() }
      #expect(failure?.place == "block 2, q_proj" && failure?.found == "input channel 1")
    }
    let settings = GPTQuantizer(UniformGrid(groupSize: nil))
    var broken = weight
    broken.values[6] = .nan
    let failure = #expect(throws: Failure.self) {
      try settings.quantize(broken, hessian(dead), name: "layer")
    }
    #expect(failure?.found == "nan in row 1, column 2")
    #expect(throws: Failure.self) { try RTN().quantize(broken, name: "layer") }
    #expect(throws: Failure.self) {
      try HessianSum(columns: 3, name: "layer").finish()
    }
  }

  @Test("scales too large for their type")
  func largeScales() throws {
    let large = Matrix(rows: 1, columns: 4, values: [1e7, -1e7, 0, 1])
    let failure = #expect(throws: Failure.self) { try RTN().quantize(large, name: "layer") }
    #expect(failure?.kind == .cannotRepresent)
    let held = try RTN(UniformGrid(scaleType: .bf16)).quantize(large, name: "layer")
    #expect(held.matrix.codes == [15, 0, 8, 8] || held.matrix.codes == [15, 1, 8, 8])
  }

  @Test("settings that make no sense")
  func settings() throws {
    var grids = [UniformGrid(.bits(1)), UniformGrid(.bits(9)), UniformGrid(groupSize: 0)]
    grids.append(UniformGrid(.ternary, isSymmetric: false))
    grids.append(UniformGrid(search: RangeSearch(norm: 0)))
    grids.append(UniformGrid(scaleType: .i32))
    for grid in grids {
      let failure = #expect(throws: Failure.self) { try RTN(grid).quantize(weight, name: "layer") }
      #expect(failure?.kind == .usage)
    }
    let weighted = UniformGrid(search: RangeSearch(isWeighted: true))
    for importance in [nil, [1, 2, 3], [1, 2, 3, -1], [1, 2, 3, .nan]] as [[Float]?] {
      #expect(throws: Failure.self) {
        try RTN(weighted).quantize(weight, importance: importance, name: "layer")
      }
    }
    for change in [
      { $0.dampPercent = 0 }, { $0.blockSize = 129 }, { $0.asymmetry = 0.25 },
      { $0.dampAutoIncrement = -1 },
    ] as [(inout GPTQuantizer) -> Void] {
      var settings = GPTQuantizer()
      change(&settings)
      #expect(throws: Failure.self) {
        try settings.quantize(weight, hessian(dead), name: "layer")
      }
    }
  }
}
