import TensorCore
import TestKit

@testable import Containers

/// Tensors of random names, dtypes and shapes, sub-byte, empty and scalar ones among them.
func randomTensors(_ count: Int, using generator: inout SplitMix64) -> [TensorInfo] {
  var tensors: [TensorInfo] = []
  while tensors.count < count {
    let rank = Int.random(in: 0...4, using: &generator)
    let dimensions = (0..<rank).map { _ in Int.random(in: 0...6, using: &generator) }
    let letters = ["a", "Z", "é", "e\u{301}", "\"", "\\", "\n", "\u{1}", "😀", ".", "/"]
    let name = "\(tensors.count)" + letters.shuffled(using: &generator).prefix(3).joined()
    let dtype = DType.allCases.randomElement(using: &generator)!
    // nil where the bits are not whole bytes.
    if let info = TensorInfo(name: name, dtype: dtype, shape: Shape(dimensions)!) {
      tensors.append(info)
    }
  }
  return tensors
}

/// The bytes that tests give a tensor, told apart from every other tensor's by its name.
func testBytes(of info: TensorInfo) -> [UInt8] {
  var generator = SplitMix64(seed: info.name.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
  return generator.bytes(info.byteCount)
}

/// A whole file in memory, laid out by `SafetensorsLayout`.
func file(of tensors: [TensorInfo], metadata: [String: String] = [:]) throws -> [UInt8] {
  let layout = try SafetensorsLayout(tensors: tensors, metadata: metadata)
  return layout.header + layout.placements.flatMap { testBytes(of: $0.info) }
}
