import Checkpoints
import Containers
import Kernels
import Models
import TensorCore
import TestKit

/// A checkpoint beside the logits that its peer computes.
struct ModelLogits {
  let path: String
  let expected: [String: Tensor]

  init(_ path: String) throws {
    self.path = path
    let tensors = try ShardedTensors(opening: path + "/expected.safetensors").tensors
    expected = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0) })
  }

  func integers(_ name: String) throws -> [Int32] {
    guard let tensor = expected[name] else { return [] }
    let bytes = try tensor.contents()
    let stride = tensor.dtype.bits / 32
    return bytes.withBytes { bytes in
      (0..<tensor.shape.count).map { Int32(bitPattern: bytes.uint32(at: $0 * stride)) }
    }
  }

  func floats(_ name: String) throws -> [Float] {
    guard let tensor = expected[name] else { return [] }
    let bytes = try tensor.contents()
    return bytes.withBytes { bytes in
      (0..<tensor.shape.count).map { bytes.float32(at: $0) }
    }
  }

  /// The largest difference; infinite where one is not a number or counts differ.
  static func difference(_ left: [Float], _ right: [Float]) -> Float {
    guard left.count == right.count, !left.isEmpty else { return .infinity }
    return zip(left, right).reduce(0) { largest, pair in
      let difference = (pair.0 - pair.1).magnitude
      return difference.isNaN ? .infinity : max(largest, difference)
    }
  }
}
