import Containers
import TensorCore
import TestKit

/// The tensors of a file of `Fixtures/bitsandbytes-optim/golden`.
struct Golden {
  private let tensors: [String: Tensor]

  init(_ name: String) throws {
    let path = Fixtures.path("bitsandbytes-optim/golden/\(name).safetensors")
    let header = try SafetensorsHeader(reading: InputFile(path: path))
    tensors = Dictionary(uniqueKeysWithValues: header.tensors.map { ($0.name, $0) })
  }

  func has(_ name: String) -> Bool { tensors[name] != nil }

  func shape(_ name: String) throws -> [Int] { try tensor(name).shape.dimensions }

  func bytes(_ name: String) throws -> [UInt8] {
    let block = try tensor(name).contents()
    return block.bytes.array
  }

  func signedBytes(_ name: String) throws -> [Int8] {
    try bytes(name).map { Int8(bitPattern: $0) }
  }

  /// Values of F32, F16 or BF16.
  func floats(_ name: String) throws -> [Float] {
    let tensor = try tensor(name)
    let bytes = try bytes(name)
    let span = bytes.rawSpan
    return try (0..<tensor.shape.count).map { index in
      switch tensor.dtype {
      case .f32: span.float32(at: index)
      case .f16: Float(Float16(bitPattern: span.uint16(at: index)))
      case .bf16: Float(bitPattern: UInt32(span.uint16(at: index)) << 16)
      default: throw Failure(.unsupported, at: name, "no float")
      }
    }
  }

  func dtype(_ name: String) throws -> DType { try tensor(name).dtype }

  private func tensor(_ name: String) throws -> Tensor {
    guard let tensor = tensors[name] else { throw Failure(.malformed, at: name, "missing") }
    return tensor
  }
}

extension SplitMix64 {
  /// The values that `make.py` makes: in −1 ..< 1, value i smaller by 2^(i mod 9).
  mutating func values(_ count: Int) -> [Float] {
    (0..<count).map { index in
      (Float(next() >> 40) / 0x1p23 - 1) / Float(1 << (index % 9))
    }
  }
}
