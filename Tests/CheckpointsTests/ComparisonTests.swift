import Checkpoints
import TensorCore
import TestKit
import Testing

/// A comparison that can't fail proves nothing: single bits must be seen.
@Suite struct ComparisonTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
  }

  private func model(flipping part: String? = nil, bit: Int = 0) throws -> String {
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj")
    model.addDense("model.norm.weight", [64])
    model.config = Model.gptqConfig()
    if let part, let index = model.tensors.firstIndex(where: { $0.info.name.hasSuffix(part) }) {
      model.tensors[index].bytes[bit / 8] ^= 1 << (bit % 8)
    }
    let path = folder.path("\(part ?? "whole")-\(bit)")
    try model.write(to: path)
    return path
  }

  @Test func equalCheckpointsAreEqual() throws {
    let a = try Checkpoint(opening: model())
    let awq = try Converted(a, to: "awq")
    let comparison = try CheckpointComparison(a, awq.output)
    #expect(comparison.isEqual)
    #expect(comparison.layers.map(\.codes) == [32 * 64])
  }

  @Test(arguments: ["qweight", "qzeros", "scales"], [0, 13, 31])
  func oneBitOfALayerIsSeen(part: String, bit: Int) throws {
    let a = try Checkpoint(opening: model())
    let b = try Checkpoint(opening: model(flipping: part, bit: bit))
    let comparison = try CheckpointComparison(a, b)
    #expect(!comparison.isEqual)
    let layer = try #require(comparison.layers.first)
    #expect(layer.differingCodes == (part == "qweight" ? 1 : 0))
    #expect(layer.differingZeros == (part == "qzeros" ? 1 : 0))
    #expect(layer.differingScales == (part == "scales" ? 1 : 0))
  }

  @Test func oneBitOfADenseTensorIsSeen() throws {
    let a = try Checkpoint(opening: model())
    let b = try Checkpoint(opening: model(flipping: "norm.weight", bit: 77))
    #expect(try !CheckpointComparison(a, b).isEqual)
  }

  @Test func otherGroupsAreSeen() throws {
    let a = try Checkpoint(opening: model())
    let b = try Checkpoint(opening: model(flipping: "g_idx", bit: 0))
    let layer = try #require(try CheckpointComparison(a, b).layers.first)
    #expect(layer.mismatch == nil && layer.codes == 0)
    #expect(layer.values?.values == 64 * 32)
  }
}
