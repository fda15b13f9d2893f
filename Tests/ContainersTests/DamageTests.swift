import TensorCore
import TestKit
import Testing

@testable import Containers

/// Damaged files give a value that is really there, or a failure: never a trap.
@Suite struct DamageTests {
  @Test func everyTruncationIsRefused() throws {
    let whole = try sample()
    _ = try SafetensorsHeader(reading: MemorySource(whole))
    for count in 0..<whole.count {
      let failure = #expect(throws: Failure.self, "\(count) bytes") {
        try SafetensorsHeader(reading: MemorySource(Array(whole.prefix(count))))
      }
      #expect(failure?.rule != nil, "\(count) bytes: \(failure!)")
    }
    #expect(rule { try SafetensorsHeader(reading: MemorySource(whole + [0])) } == "ST-8")
  }

  @Test func everyFlippedBitOfTheHeaderIsSeenOrHarmless() throws {
    let whole = try sample()
    let length = try SafetensorsHeader(reading: MemorySource(whole)).dataOffset
    for position in 0..<length * 8 {
      var damaged = whole
      damaged[position / 8] ^= 1 << (position % 8)
      expectHonest(damaged, "bit \(position)")
    }
  }

  @Test(arguments: 0..<300)
  func randomDamageIsSeenOrHarmless(seed: UInt64) throws {
    var generator = SplitMix64(seed: seed)
    var damaged = try sample()
    for _ in 0..<Int.random(in: 1...6, using: &generator) {
      let position = Int.random(in: 0..<damaged.count, using: &generator)
      switch Int.random(in: 0..<4, using: &generator) {
      case 0: damaged[position] = UInt8.random(in: 0...255, using: &generator)
      case 1: damaged.remove(at: position)
      case 2: damaged.insert(UInt8.random(in: 0...255, using: &generator), at: position)
      default: damaged.swapAt(position, damaged.indices.randomElement(using: &generator)!)
      }
    }
    expectHonest(damaged, "\(generator)")
  }

  @Test(arguments: 0..<200)
  func randomBytesAreRefused(seed: UInt64) {
    var generator = SplitMix64(seed: seed)
    let length = UInt8.random(in: 0...60, using: &generator)
    let bytes = [length] + [UInt8](repeating: 0, count: 7) + generator.bytes(64)
    #expect(throws: Failure.self) { try SafetensorsHeader(reading: MemorySource(bytes)) }
  }

  @Test(arguments: 0..<300)
  func damagedIndexGivesAFailureOrAnIndex(seed: UInt64) throws {
    var generator = SplitMix64(seed: seed)
    let path = Fixtures.path("shard-index/valid/two-shards/model.safetensors.index.json")
    var damaged = try FileSystem.contents(of: path, limit: 10_000)
    for _ in 0..<Int.random(in: 1...3, using: &generator) {
      let position = Int.random(in: 0..<damaged.count, using: &generator)
      damaged[position] = UInt8.random(in: 0...255, using: &generator)
    }
    do {
      let index = try ShardIndex(parsing: damaged, at: "index")
      #expect(index.files.allSatisfy { $0.hasSuffix(".safetensors") && !$0.contains("/") })
    } catch let failure as Failure {
      #expect(failure.rule != nil)
    }
  }

  /// A refusal with a rule, or tensors that tile the data and are spelled in the header.
  private func expectHonest(_ bytes: [UInt8], _ comment: Comment) {
    do {
      let header = try SafetensorsHeader(reading: MemorySource(bytes))
      var end = header.dataOffset
      for tensor in header.tensors {
        #expect(tensor.offset == end, comment)
        #expect(tensor.byteCount == tensor.shape.count * tensor.dtype.bits / 8, comment)
        end += tensor.byteCount
        let spelled = Array("\"\(tensor.dtype.rawValue)\"".utf8)
        #expect(bytes[8..<header.dataOffset].firstRange(of: spelled) != nil, comment)
      }
      #expect(end == bytes.count, comment)
    } catch {
      #expect((error as? Failure)?.rule != nil, comment)
    }
  }

  private func sample() throws -> [UInt8] {
    let tensors = [
      TensorInfo(name: "model.layers.0.weight", dtype: .bf16, shape: [3, 5])!,
      TensorInfo(name: "scale", dtype: .f32, shape: [])!,
      TensorInfo(name: "codes", dtype: .f4, shape: [2, 3])!,
      TensorInfo(name: "none", dtype: .i64, shape: [0, 9])!,
    ]
    return try file(of: tensors, metadata: ["format": "pt"])
  }
}
