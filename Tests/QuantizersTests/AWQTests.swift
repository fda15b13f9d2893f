import Containers
import Kernels
import TensorCore
import TestKit
import Testing

@testable import Quantizers

/// AWQ beside AutoAWQ's own functions (`Fixtures/quantizers/awq`).
struct AWQTests {
  let peer: PeerTensors
  let block: MLPBlock
  let grid = AWQGrid(bits: 4, groupSize: 32)

  init() throws {
    peer = try PeerTensors(Fixtures.path("quantizers/awq/search.safetensors"))
    block = try MLPBlock(
      gate: peer.matrix("gate"), up: peer.matrix("up"), down: peer.matrix("down"),
      inputs: peer.floats("x"))
  }

  private func autoAWQ(measuresScaledWeights: Bool = false) -> AWQ {
    var awq = AWQ(grid, rules: .autoawq)
    awq.measuresScaledWeights = measuresScaledWeights
    return awq
  }

  @Test func roundingIsThePeers() throws {
    let gate = try peer.matrix("gate")
    let rounded = grid.rounded(gate, threads: 2, on: .best)
    #expect(try rounded.values == peer.floats("rounded"))
    let symmetric = AWQGrid(bits: 4, groupSize: 32, isSymmetric: true)
    #expect(
      try symmetric.rounded(gate, threads: 1, on: .best).values == peer.floats("symmetric"))
  }

  @Test func everyLevelRoundsAlike() throws {
    let gate = try peer.matrix("gate")
    for level in Processor.levels {
      for group in [32, 20, 64] {
        let grid = AWQGrid(bits: 3, groupSize: group)
        let plain = try grid.quantize(gate, name: "gate", on: Processor.levels[0])
        #expect(try grid.quantize(gate, name: "gate", threads: 1, on: level) == plain)
        #expect(
          grid.rounded(gate, threads: 1, on: level)
            == grid.rounded(gate, threads: 2, on: Processor.levels[0]))
      }
    }
  }

  @Test func lossesOfEachRatioAreThePeers() throws {
    let site = block.foldSites[0]
    for (isScaled, name) in [(false, "restored"), (true, "losses")] {
      let awq = autoAWQ(measuresScaledWeights: isScaled)
      let result = try ScaleSearch(awq: awq, site: site, threads: 2, level: .best).run(block)
      let expected = try peer.floats(name)
      #expect(result.losses.count == expected.count)
      for (ours, theirs) in zip(result.losses, expected) {
        #expect(abs(ours - Double(theirs)) < 1e-3 * Double(theirs))
      }
      #expect(result.best == expected.indices.min { expected[$0] < expected[$1] })
    }
  }

  @Test func scalesAreThePeers() throws {
    let search = ScaleSearch(awq: autoAWQ(), site: block.foldSites[0], threads: 1, level: .best)
    let factors = try #require(search.run(block).fold?.factors)
    for (ours, theirs) in zip(factors, try peer.floats("scales")) {
      #expect(abs(ours - theirs) < 1e-5 * theirs)
    }
  }

  @Test func clipsAreThePeers() throws {
    for (tokens, name) in [(nil, "clip_all"), (200, "clip_200")] {
      let clip = ClipSearch(tokens: tokens)
      let found = try clip.run(
        autoAWQ(), [], ["mlp.gate_proj"], block, threads: 2, on: .best)["mlp.gate_proj"]
      let bounds = try #require(found)
      let expected = try peer.floats(name)
      let equal = zip(bounds.values, expected).count { $0 == $1 }
      #expect(bounds.values.count == expected.count && equal >= expected.count - 1)
    }
  }

  @Test func aGramMatrixGivesTheLossOfAPass() throws {
    let site = block.foldSites[1]
    let whole = FoldSite(source: site.source, linears: site.linears, parent: "mlp")
    let awq = autoAWQ()
    let byGram = try ScaleSearch(awq: awq, site: site, threads: 2, level: .best).run(block)
    let byPass = try ScaleSearch(awq: awq, site: whole, threads: 2, level: .best).run(block)
    for (gram, pass) in zip(byGram.losses, byPass.losses) {
      #expect(abs(gram - pass) < 1e-4 * pass)
    }
    #expect(byGram.best == byPass.best)
  }

  @Test func foldingAloneKeepsOutputs() throws {
    let result = try AWQ(grid).search(block, threads: 2)
    #expect(!result.folds.isEmpty)
    var folded = block
    for (name, weight) in block.weights {
      folded.weights[name] = result.folds.weight(name, from: weight)
    }
    // The norm before the block hands on x / s.
    let factors = result.folds.inputFactors(of: "mlp.gate_proj")
    let inputs = block.inputs.enumerated().map { index, x in
      factors.map { x / $0[index % block.hidden] } ?? x
    }
    let moved = MLPBlock(
      gate: folded.weights["mlp.gate_proj"]!, up: folded.weights["mlp.up_proj"]!,
      down: folded.weights["mlp.down_proj"]!, inputs: inputs)
    var (differences, squares) = (0.0, 0.0)
    let expected = try outputs(block)
    for (ours, theirs) in zip(try outputs(moved), expected) {
      differences += Double((ours - theirs) * (ours - theirs))
      squares += Double(theirs * theirs)
    }
    #expect((differences / squares).squareRoot() < 1e-5)
  }

  private func outputs(_ block: MLPBlock) throws -> [Float] {
    var all: [Float] = []
    try block.forEachOutput(of: "mlp", in: 0..<2, replacing: [:]) { all += $1 }
    return all
  }

  @Test func theBestRulesAreNeverWorseThanRoundingToNearest() throws {
    let result = try AWQ(grid).search(block, threads: 2)
    for site in result.sites {
      let best = site.best.map { site.losses[$0] } ?? site.plainLoss
      #expect(best <= site.plainLoss)
    }
    #expect(result.clips.keys.sorted() == ["mlp.down_proj", "mlp.gate_proj", "mlp.up_proj"])
  }

  /// Losses are sums in one order, whether memory has room for all tokens or for some at a time.
  @Test func partsOfTheTokensChangeNothing() throws {
    var parted = block
    parted.isOnePart = false
    for rules in AWQ.Rules.allCases {
      let whole = try AWQ(grid, rules: rules).search(block, threads: 2)
      let other = try AWQ(grid, rules: rules).search(parted, threads: 1)
      for (left, right) in zip(whole.sites, other.sites) {
        #expect(left.losses == right.losses && left.plainLoss == right.plainLoss)
        #expect(left.fold == right.fold && !left.losses.isEmpty)
      }
      #expect(whole.clips == other.clips)
    }
  }

  @Test func clipsNeverWorsenTheirRows() throws {
    let weight = try block.weight("mlp.down_proj")
    let gram = try #require(
      try block.gram(of: "mlp.down_proj", columns: weight.columns, threads: 2)?.matrix)
    for bits in [2, 4] {
      let grid = AWQGrid(bits: bits, groupSize: 20)
      let descent = ClipDescent(
        grid: grid, shares: ClipSearch().shares(.best), gram: gram, level: .best)
      let bounds = descent.bounds(of: weight, threads: 2)
      #expect(bounds.values.contains { $0.isFinite })
      for row in 0..<weight.rows {
        let one = Matrix(
          rows: 1, columns: weight.columns,
          values: Array(weight.values[row * weight.columns..<(row + 1) * weight.columns]))
        var own = ClipBounds(rows: 1, groups: bounds.groups, size: bounds.size)
        own.values = Array(bounds.values[row * bounds.groups..<(row + 1) * bounds.groups])
        let loss = { (matrix: Matrix) in
          gram.sumOfForms(
            of: grid.rounded(matrix, threads: 1, on: .best), minus: one, threads: 1)
        }
        #expect(loss(own.applied(to: one)) <= loss(one) * (1 + 1e-5))
      }
    }
  }

  @Test func layersLeftDenseAreScaledAndNeverRounded() throws {
    var awq = AWQ(grid)
    awq.dense = ["mlp.up_proj"]
    awq.overrides["mlp.down_proj"] = AWQGrid(bits: 8, groupSize: 32)
    let result = try awq.search(block, threads: 2)
    let plain = try AWQ(grid).search(block, threads: 2)
    #expect(result.clips.keys.sorted() == ["mlp.down_proj", "mlp.gate_proj"])
    #expect(result.sites[0].plainLoss < plain.sites[0].plainLoss)
    #expect(result.sites[1].plainLoss < plain.sites[1].plainLoss / 50)
    awq.dense = ["mlp.up_proj", "mlp.gate_proj"]
    #expect(try awq.search(block, threads: 2).sites[0].fold == nil)
  }

  @Test func layersThatNoTokenReachesKeepTheirWeights() throws {
    let empty = MLPBlock(
      gate: block.weights["mlp.gate_proj"]!, up: block.weights["mlp.up_proj"]!,
      down: block.weights["mlp.down_proj"]!, inputs: [])
    for rules in AWQ.Rules.allCases {
      let result = try AWQ(grid, rules: rules).search(empty, threads: 1)
      #expect(result.folds.isEmpty && result.clips.isEmpty)
    }
  }

  @Test func scalesThatHalvesCannotHoldAreLeftOut() {
    let weight = Matrix(rows: 1, columns: 2, values: [-60000, 1])
    let range = ScaleRange([weight], source: weight, rows: 0..<1)
    #expect(range.holds([1, 1]) && range.holds([1.05, 60000]))
    #expect(!range.holds([1.2, 1]) && !range.holds([0.8, 1]))
  }

  @Test func channelsWithLargeInputsAreTheSalientOnes() throws {
    let study = SalientChannels(AWQGrid(bits: 3, groupSize: 32), share: 0.05)
    for losses in try study.losses(block, threads: 2) {
      #expect(losses.kept >= 1 && losses.byInputs < losses.plain)
      #expect(losses.byInputs <= losses.byChance)
    }
    let all = SalientChannels(grid, share: 1)
    #expect(try all.losses(block, threads: 2).allSatisfy { $0.byInputs == 0 && $0.plain > 0 })
    #expect(throws: Failure.self) { try SalientChannels(share: 2).losses(block) }
  }

  @Test func threadsChangeNothing() throws {
    let (one, two) = (
      try AWQ(grid).search(block, threads: 1), try AWQ(grid).search(block, threads: 2)
    )
    #expect(one.folds == two.folds && one.clips == two.clips)
  }

  @Test func normsThatAddOneAreFoldedSo() {
    let site = FoldSite(source: .norm("n", isOffset: true), linears: ["l"], parent: "l")
    let folds = [Fold(site: site, factors: [2, 0.5])]
    #expect(folds.normWeight("n", from: [1, 0]) == [0, 1])
    #expect(folds.normWeight("other", from: [1, 0]) == [1, 0])
    #expect(folds.hessian([4, 4, 4, 4], of: "l") == [1, 4, 4, 16])
  }
}

/// Tensors of a file in f32.
struct PeerTensors {
  private let tensors: [String: Tensor]

  init(_ path: String) throws {
    let header = try SafetensorsHeader(reading: InputFile(path: path))
    tensors = Dictionary(uniqueKeysWithValues: header.tensors.map { ($0.name, $0) })
  }

  func floats(_ name: String) throws -> [Float] {
    let tensor = try #require(tensors[name])
    let stored = try tensor.contents()
    var result = [Float](repeating: 0, count: tensor.shape.count)
    try result.withMutableBytes {
      try FloatConversion.toFloat32(tensor.dtype, stored.bytes, into: &$0)
    }
    return result
  }

  func matrix(_ name: String) throws -> Matrix {
    let tensor = try #require(tensors[name])
    return Matrix(
      rows: tensor.shape[0], columns: tensor.shape[1], values: try floats(name))
  }
}
