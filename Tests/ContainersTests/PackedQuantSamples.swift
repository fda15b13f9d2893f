import Kernels
import TensorCore
import TestKit

@testable import Containers

/// Containers that tests make in memory.
enum PackedSamples {
  /// A plain file, and a safetensors file whose tensors are taken apart in every way there is.
  static func sources(chunks: Int = 1) throws -> [PackedQuantSource] {
    let tensors = try TensorSample.all(repeats: chunks)
    let layout = try SafetensorsLayout(tensors: tensors.map(\.info))
    let samples = Dictionary(uniqueKeysWithValues: tensors.map { ($0.info.name, $0) })
    let data = layout.placements.flatMap { samples[$0.info.name]?.bytes ?? [] }
    let model = MemorySource(layout.header + data)
    let text = Array(String(repeating: "{\"hidden_size\": 64}\n", count: 10).utf8)
    return try [
      PackedQuantSource(path: "config.json", plain: MemorySource(text)),
      PackedQuantSource(path: "empty/nothing.txt", plain: MemorySource([])),
      PackedQuantSource(
        path: "model.safetensors", source: model, header: SafetensorsHeader(reading: model)
      ) { samples[$0.name]?.transform ?? .bytes },
    ]
  }

  /// The bytes of a container, written by `threads` threads.
  static func container(
    _ sources: [PackedQuantSource], layers: [PackedQuantDirectory.Layer] = [], level: Int = 3,
    threads: Int = 1
  ) throws -> [UInt8] {
    let folder = try TemporaryFolder()
    let path = folder.path("x.pquant")
    let writer = try PackedQuantWriter(
      sources, layers: layers, writer: "test", level: level, threads: threads)
    let file = try OutputFile(path: path)
    let size = try writer.write(to: file).byteCount
    try file.commit(byteCount: size, sync: false)
    return try FileSystem.contents(of: path, limit: 1 << 30)
  }

  static let layer = PackedQuantDirectory.Layer(
    name: "l", layout: "gptq", rows: 8, columns: 64, bits: 3, groupSize: 64,
    parts: [("qweight", 0), ("scales", 1)])
}

/// A tensor whose bytes shrink, and how it is taken apart.
struct TensorSample {
  let info: TensorInfo
  let bytes: [UInt8]
  let transform: PackedTransform

  init(_ name: String, _ dtype: DType, _ shape: Shape, _ transform: PackedTransform, seed: UInt64) {
    info = TensorInfo(name: name, dtype: dtype, shape: shape)!
    var random = SplitMix64(seed: seed)
    bytes = (0..<info.byteCount).map { index in
      let byte = UInt8(truncatingIfNeeded: random.next())
      return index % 2 == 1 ? 0x3C | byte & 3 : byte
    }
    self.transform = transform
  }

  static func all(repeats: Int) throws -> [TensorSample] {
    let rows = 48 * repeats
    return [
      TensorSample("bf16", .bf16, [rows, 40], .planes(width: 2, turned: true), seed: 1),
      TensorSample("f16", .f16, [rows, 30], .planes(width: 2, turned: false), seed: 2),
      TensorSample("f32", .f32, [rows, 20], .planes(width: 4, turned: true), seed: 3),
      TensorSample("i64", .i64, [rows], .planes(width: 8, turned: false), seed: 4),
      TensorSample("index4", .i32, [rows], .differences(width: 4), seed: 5),
      TensorSample("index8", .i64, [rows], .differences(width: 8), seed: 6),
      TensorSample("along", .i32, [rows, 3], .codes(bits: 3, .along), seed: 7),
      TensorSample("down", .i32, [rows, 8], .codes(bits: 3, .down(columns: 8)), seed: 8),
      TensorSample("down4", .i32, [rows, 8], .codes(bits: 4, .down(columns: 8)), seed: 9),
      TensorSample("mixed", .i32, [rows, 4], .codes(bits: 4, .interleaved), seed: 10),
      TensorSample("u8", .u8, [rows, 5], .bytes, seed: 11),
      TensorSample("empty", .f32, [0, 4], .planes(width: 4, turned: true), seed: 12),
      TensorSample("scalar", .f32, [], .planes(width: 4, turned: true), seed: 13),
    ]
  }
}

extension PackedQuantFile {
  /// A container in memory.
  convenience init(_ bytes: [UInt8]) throws { try self.init(MemorySource(bytes)) }

  /// All bytes of a file.
  func contents(_ file: Int) throws -> [UInt8] {
    let restored = RestoredFile(self, file: file)
    return try restored.contents(0..<restored.size)
  }
}
