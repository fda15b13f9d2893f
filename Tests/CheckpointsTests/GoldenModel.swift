import Checkpoints
import Codecs
import TestKit

/// A golden with the weights that its expected logits were computed with.
///
/// They are those of the file in F32, but for NVFP4, whose decoder returns BF16 (NVFP4-5): there the checkpoint is
/// written dense in BF16 first.
struct GoldenModel {
  /// The golden itself.
  let packed: Checkpoint
  private let rounded: Converted?

  init(_ path: String) throws {
    packed = try Checkpoint(opening: path)
    rounded =
      packed.layers.contains { $0.layout == "nvfp4" }
      ? try Converted(packed, to: "dense") { $0.target = .dense(.bf16) } : nil
  }

  /// What the peer's weights are in.
  var checkpoint: Checkpoint { rounded?.output ?? packed }
}
