import Containers
import Kernels
import TensorCore
import TestKit

/// A safetensors file of loose tensors that a writer's own code made.
struct LayerFile {
  private let tensors: ShardedTensors

  init(_ path: String) throws {
    tensors = try ShardedTensors(opening: path)
  }

  func contains(_ name: String) -> Bool { tensors[name] != nil }

  /// Whether a part of `layer` is here with the same type, shape and bytes.
  func holds(_ part: Tensor, in layer: String) throws -> Bool {
    let name = layer + part.name.dropFirst("layer".count)
    let own = try tensor(name, named: part.name)
    return try own.info == part.info && own.content() == part.content()
  }

  /// A tensor under another name.
  func tensor(_ name: String, named newName: String) throws -> Tensor {
    guard let tensor = tensors[name],
      let info = TensorInfo(name: newName, dtype: tensor.dtype, shape: tensor.shape)
    else { throw Failure(.internal, at: name, "the fixture lacks the tensor") }
    return Tensor(info: info, source: tensor.source, offset: tensor.offset)
  }

  /// The numbers of an F32 tensor.
  func floats(_ name: String) throws -> [Float] {
    TestKit.floats(of: try tensor(name, named: name).content())
  }

  /// The numbers of an F16 tensor.
  func halfFloats(_ name: String) throws -> [Float] {
    try tensor(name, named: name).content().halves.map { Float(Float16(bitPattern: $0)) }
  }
}
