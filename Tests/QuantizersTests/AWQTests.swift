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
    try block.forEachOutput(of: "mlp", replacing: [:]) { all += $2 }
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
