import Containers
import Kernels
import TensorCore
import TestKit
import Testing

/// Tensors that bitsandbytes made on the CPU, and what it made them from.
struct PeerFile {
  private let tensors: ShardedTensors

  init(_ name: String) throws {
    tensors = try ShardedTensors(opening: Fixtures.path("quantizers/\(name).safetensors"))
  }

  var names: [String] { tensors.tensors.map(\.name) }

  func bytes(_ name: String) throws -> [UInt8] {
    let block = try #require(tensors[name]).contents()
    return block.bytes.array
  }

  /// The numbers of a tensor of any float type.
  func floats(_ name: String) throws -> [Float] {
    let tensor = try #require(tensors[name])
    let stored = try tensor.contents()
    var target = AlignedBytes(count: stored.count * 32 / tensor.dtype.bits)
    var span = target.mutableBytes
    try FloatConversion.toFloat32(tensor.dtype, stored.bytes, into: &span)
    return TestKit.floats(of: target.bytes.array)
  }

  func columns(_ name: String) throws -> Int { try #require(tensors[name]).shape[1] }
}

/// What `body` fills `count` bytes with.
func filled(_ count: Int, _ body: (inout MutableRawSpan) throws -> Void) rethrows -> [UInt8] {
  var block = AlignedBytes(count: count)
  var span = block.mutableBytes
  try body(&span)
  return block.bytes.array
}

/// Normal numbers, by Marsaglia's polar method.
func normals(_ count: Int, from random: inout SplitMix64) -> [Float] {
  stride(from: 0, to: count, by: 2).flatMap { _ -> [Float] in
    while true {
      let (x, y) = (
        Double.random(in: -1...1, using: &random), Double.random(in: -1...1, using: &random)
      )
      let square = x * x + y * y
      guard square < 1, square > 0 else { continue }
      let factor = (-2 * logarithm(square) / square).squareRoot()
      return [Float(x * factor), Float(y * factor)]
    }
  }
}

/// The natural logarithm from halvings of the significand's series.
private func logarithm(_ x: Double) -> Double {
  let ln2 = 0.693147180559945309417232
  let t = (x.significand - 1) / (x.significand + 1)
  var power = t
  var sum = 0.0
  for odd in stride(from: 1.0, to: 60, by: 2) {
    sum += power / odd
    power *= t * t
  }
  return 2 * sum + Double(x.exponent) * ln2
}
