import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

/// The optimizers of `make.py`.
let peerOptimizers: [String: Optimizer] = {
  var scheduled = Optimizer.adEMAMix
  (scheduled.alphaSteps, scheduled.beta3Steps) = (200, 200)
  var sgd = Optimizer.sgd(learningRate: 1e-2, momentum: 0.9)
  sgd.weightDecay = 1e-2
  var lion = Optimizer.lion
  lion.weightDecay = 1e-2
  return [
    "adam": .adam, "adamw": .adamW, "lamb": .lamb, "ademamix": .adEMAMix,
    "ademamix-scheduled": scheduled, "sgd": sgd,
    "lars": .lars(learningRate: 1e-2, momentum: 0.9), "lion": lion, "rmsprop": .rmsProp,
    "adagrad": .adagrad,
  ]
}()

@Suite("Steps beside the peer's CPU code")
struct PeerStepTests {
  private static let count = 300
  private static let steps = 300

  @Test("8-bit states, every step", arguments: peerOptimizers.keys.sorted())
  func blockwise(name: String) throws {
    let golden = try Golden("steps")
    let optimizer = try #require(peerOptimizers[name])
    var random = SplitMix64(seed: 0x0B)
    var parameters = random.values(Self.count)
    var state = BlockwiseOptimizerState(count: Self.count, method: optimizer.method)
    let digests = try golden.bytes("\(name).8.digests")
    for step in 0..<Self.steps {
      optimizer.step(
        &parameters, gradients: random.values(Self.count), state: &state, rules: .cpu)
      let found = digest(state)
      try #require(found == Array(digests[step * 8..<step * 8 + 8]), "step \(step + 1)")
    }
    let first = state.first.codes + (state.slow?.codes ?? [])
    #expect(try first == golden.bytes("\(name).8.state1"))
    let absmax = state.first.absmax + (state.slow?.absmax ?? [])
    #expect(try mismatch(absmax, golden.floats("\(name).8.absmax1"), by: .sameBits) == nil)
    let worst = try distance(parameters, golden.floats("\(name).8.parameters"))
    #expect(worst <= 3e-7, "\(worst)")
  }

  @Test("32-bit states, every step", arguments: peerOptimizers.keys.sorted())
  func dense(name: String) throws {
    let golden = try Golden("steps")
    let optimizer = try #require(peerOptimizers[name])
    var random = SplitMix64(seed: 0x0B)
    var parameters = random.values(Self.count)
    var state = DenseOptimizerState(count: Self.count, method: optimizer.method)
    let digests = try golden.bytes("\(name).32.digests")
    for step in 0..<Self.steps {
      optimizer.step(
        &parameters, gradients: random.values(Self.count), state: &state, rules: .cpu)
      let values = state.first + (state.slow ?? []) + (state.squares ?? [])
      let found = Array(SHA256.digest(of: values).prefix(8))
      try #require(found == Array(digests[step * 8..<step * 8 + 8]), "step \(step + 1)")
    }
    let worst = try distance(parameters, golden.floats("\(name).32.parameters"))
    #expect(worst <= 3e-7, "\(worst)")
  }

  private func digest(_ state: BlockwiseOptimizerState) -> [UInt8] {
    let first = state.first.codes + (state.slow?.codes ?? [])
    let absmax = bytes(of: state.first.absmax + (state.slow?.absmax ?? []))
    let squares = state.squares.map { $0.codes + bytes(of: $0.absmax) } ?? []
    return Array(SHA256.digest(of: first + absmax + squares).prefix(8))
  }

  /// The largest difference: torch's square roots are not always the nearest numbers.
  private func distance(_ found: [Float], _ expected: [Float]) -> Float {
    zip(found, expected).reduce(0) { max($0, ($1.0 - $1.1).magnitude) }
  }
}

extension SHA256 {
  static func digest(of bytes: [UInt8]) -> [UInt8] {
    var hash = SHA256()
    hash.update(bytes.rawSpan)
    return hash.finish()
  }

  static func digest(of values: [Float]) -> [UInt8] { digest(of: bytes(of: values)) }
}

/// The SHA-256 of values, in hexadecimal.
enum SHA256Text {
  static func of(_ values: [Float]) -> String {
    SHA256.digest(of: values).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
