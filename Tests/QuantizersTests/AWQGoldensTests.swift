import Kernels
import TensorCore
import TestKit
import Testing

@testable import Quantizers

/// The search on a trained model's layers, where the goldens are at hand.
@Suite("AWQ beside its peer")
struct AWQGoldensTests {
  @Test func lossesScalesAndClipsAreThePeers() throws {
    guard let goldens = Fixtures.goldens, FileSystem.kind(of: goldens + "/layers-awq") == .folder
    else {
      print("skipped: AWQ's layers; NIBBLE_GOLDENS names no folder with layers-awq")
      return
    }
    let peer = try PeerTensors(goldens + "/layers-awq/layers.safetensors")
    let model = try PeerTensors(goldens + "/models/llama-256/model.safetensors")
    let block = try MLPBlock(
      gate: peer.matrix("s0.W0"), up: peer.matrix("s0.W1"),
      down: model.matrix("model.layers.1.mlp.down_proj.weight"), inputs: peer.floats("s0.X"))
    var awq = AWQ(AWQGrid(bits: 4, groupSize: 128), rules: .autoawq)
    awq.measuresScaledWeights = true
    let site = block.foldSites[0]
    let result = try ScaleSearch(awq: awq, site: site, threads: 2, level: .best).run(block)
    let expected = try peer.floats("s0.losses")
    for (ours, theirs) in zip(result.losses, expected) {
      #expect(abs(ours - Double(theirs)) < 1e-3 * Double(theirs))
    }
    #expect(result.best == 0 && expected.count == result.losses.count)
    let scales = try peer.floats("s0.best_scales")
    for (ours, theirs) in zip(try #require(result.fold).factors, scales) {
      #expect(abs(ours - theirs) < 1e-5 * theirs)
    }
    // Clips by the peer's own scales: another last bit of a scale moves weights on ties to other codes.
    let fold = Fold(site: site, factors: scales)
    let found = try ClipSearch(tokens: 512).run(
      awq, [fold], ["mlp.gate_proj"], block, threads: 2, on: .best)
    let bounds = try #require(found["mlp.gate_proj"])
    let clips = try peer.floats("s0.clip_max")
    let equal = zip(bounds.values, clips).count { abs($0 - $1) <= 1e-5 * $1 }
    #expect(bounds.values.count == clips.count)
    #expect(equal == clips.count, "\(equal) of \(clips.count)")
  }
}
