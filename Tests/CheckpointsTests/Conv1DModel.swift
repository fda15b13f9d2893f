import Checkpoints
import Kernels
import TensorCore
import TestKit
import Testing

/// The fixture of GPT-2, whose weights are `[inputs, outputs]`, in other forms.
enum Conv1DModel {
  static let blocks = 2
  static let linears = 4
  static let vocabulary = 48
  /// The inside of the fixture's MLP; nothing else is so long.
  private static let inside = 64

  /// Writes it with the MLP's inside cut to `inner`, and all numbers in `type`.
  static func write(to path: String, inner: Int = inside, type: DType = .f32) throws {
    let source = try Checkpoint(opening: Fixtures.path("models/gpt2"))
    var model = Model()
    for tensor in source.tensors.tensors {
      var bytes = try Files.bytes(of: tensor)
      var sizes = tensor.shape.dimensions
      if tensor.name.contains(".mlp."), let axis = sizes.firstIndex(of: inside) {
        let row = axis == sizes.count - 1 ? inside * 4 : bytes.count
        let kept = row / inside * inner
        bytes = stride(from: 0, to: bytes.count, by: row).flatMap { bytes[$0..<$0 + kept] }
        sizes[axis] = inner
      }
      model.add(tensor.name, type, sizes, try narrowed(bytes, type))
    }
    var config = try #require(source.config.model).object
    config["n_inner"] = .integer(inner)
    model.config = JSON.object(config).text()
    try model.write(to: path)
  }

  private static func narrowed(_ floats: [UInt8], _ type: DType) throws -> [UInt8] {
    guard type != .f32 else { return floats }
    return try Workspace().lend(floats.count / 2) { bytes in
      try FloatConversion.fromFloat32(type, floats.rawSpan, into: &bytes)
      return bytes.bytes.array
    }
  }
}
