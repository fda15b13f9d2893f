import Checkpoints
import Kernels
import TensorCore
import TestKit
import Testing

@testable import Models

/// Blocks as quantizers see them, of every family's fixture.
@Suite struct CalibrationBlockTests {
  static let windows: [[Int32]] = [
    [3, 9, 21, 40, 7, 7], [1, 30, 2, 47, 11, 5], [8, 6, 4, 2, 0, 13],
  ]

  private static func model(_ name: String) throws -> CausalModel {
    try Checkpoint(opening: Fixtures.path("models/" + name))
      .model(on: ReferenceCompute(), keepsBlocks: false)
  }

  private static func largest(_ values: [Float]) -> Float {
    values.reduce(0) { max($0, $1.magnitude) }
  }

  /// Block after block over stored hidden states gives the logits of the whole model.
  @Test(arguments: ModelTests.cases) func blocksMakeTheModel(_ name: String) throws {
    let model = try Self.model(name)
    var runs = try model.embed(windows: Self.windows, batch: 2)
    for index in 0..<model.blockCount {
      runs = try CalibrationBlock(model.block(index), inputs: runs).outputs()
    }
    let found = try runs.flatMap(model.head)
    let ids = Self.windows.flatMap(\.self)
    let whole = try model.logits(ids, model.makeState(sequences: 3, capacity: 6))
    #expect(ModelLogits.difference(found, whole) < 1e-5)
  }

  /// Inputs are handed on for each linear layer, in as many columns as its weight has, and the output of one is
  /// their product.
  @Test(arguments: ["opt", "qwen2", "gpt2", "phi3", "qwen2-moe", "mixtral-fused"])
  func outputsAreProductsOfInputs(_ name: String) throws {
    let model = try Self.model(name)
    let block = CalibrationBlock(
      try model.block(1), inputs: try model.embed(windows: Self.windows, batch: 2))
    for linear in block.inputGroups.flatMap(\.self) {
      let weight = try block.weight(linear)
      var inputs: [[Float]] = []
      try block.forEachInput(of: linear) { tokens, values in
        #expect(values.count == tokens * weight.columns)
        inputs.append(values)
      }
      var run = 0
      try block.forEachOutput(of: linear, in: 0..<2, replacing: [:]) { tokens, values in
        let bias = try block.bias(linear)?[0] ?? 0
        let row = zip(inputs[run], weight.values).prefix(weight.columns)
        let first = row.reduce(bias) { $0 + $1.0 * $1.1 }
        #expect(values.count == tokens * weight.rows)
        #expect((values[0] - first).magnitude < 1e-4)
        run += 1
      }
    }
  }

  /// Every site's fold leaves the block's outputs as they were.
  @Test(arguments: ModelTests.cases) func foldsChangeNothing(_ name: String) throws {
    let model = try Self.model(name)
    let block = CalibrationBlock(
      try model.block(1), inputs: try model.embed(windows: Self.windows, batch: 3))
    let before = try block.outputs()[0].values
    for (index, site) in block.foldSites.enumerated() {
      let width = try block.weight(site.linears[0]).columns
      let factors = (0..<width).map { 0.5 + Float(($0 + index) % 7) / 4 }
      try block.apply(Fold(site: site, factors: factors))
      let after = try block.outputs()[0].values
      #expect(
        ModelLogits.difference(before, after) < 1e-5 * max(Self.largest(before), 1),
        "\(site)")
    }
    #expect(!block.foldSites.isEmpty)
  }

  /// A parent's output with its own weights in their place is what it was; with others it is another.
  @Test(arguments: ["llama", "opt", "gemma3", "qwen3-moe"])
  func parentsTakeOtherWeights(_ name: String) throws {
    let model = try Self.model(name)
    let block = CalibrationBlock(
      try model.block(1), inputs: try model.embed(windows: Self.windows, batch: 2))
    for site in block.foldSites {
      func outputs(_ weights: [String: Matrix]) throws -> [Float] {
        var all: [Float] = []
        try block.forEachOutput(of: site.parent, in: 0..<2, replacing: weights) { all += $1 }
        return all
      }
      let linear = site.linears[0]
      var weight = try block.weight(linear)
      let plain = try outputs([:])
      #expect(try outputs([linear: weight]) == plain)
      for index in weight.values.indices { weight.values[index] *= 1.5 }
      #expect(try outputs([linear: weight]) != plain)
    }
  }

  /// The inputs of down ← gate and up, fc2 ← fc1 may come in any order.
  @Test(arguments: ["llama", "opt", "gpt2", "phi3", "mixtral"])
  func ordersAreAbsorbed(_ name: String) throws {
    let model = try Self.model(name)
    let block = CalibrationBlock(
      try model.block(0), inputs: try model.embed(windows: Self.windows, batch: 3))
    let before = try block.outputs()[0].values
    for order in block.plan.absorbedOrders {
      let reader = try block.weight(order.linear)
      try block.replace(order.linear, with: Self.reversed(reader))
      for source in order.sources {
        let bias = try block.bias(source.linear).map { values in
          values.indices.map { index in
            guard source.rows.contains(index) else { return values[index] }
            return values[source.rows.lowerBound + source.rows.upperBound - 1 - index]
          }
        }
        try block.replace(
          source.linear, with: Self.reversed(block.weight(source.linear), rows: source.rows),
          bias: bias)
      }
    }
    let after = try block.outputs()[0].values
    #expect(ModelLogits.difference(before, after) < 1e-5 * max(Self.largest(before), 1))
  }

  private static func reversed(_ matrix: Matrix) -> Matrix {
    var result = matrix
    for row in 0..<matrix.rows {
      let range = row * matrix.columns..<(row + 1) * matrix.columns
      result.values.replaceSubrange(range, with: matrix.values[range].reversed())
    }
    return result
  }

  private static func reversed(_ matrix: Matrix, rows: Range<Int>) -> Matrix {
    var result = matrix
    let width = matrix.columns
    for (target, source) in zip(rows, rows.reversed()) {
      result.values.replaceSubrange(
        target * width..<(target + 1) * width,
        with: matrix.values[source * width..<(source + 1) * width])
    }
    return result
  }
}
