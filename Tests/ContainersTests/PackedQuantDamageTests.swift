import Kernels
import TensorCore
import TestKit
import Testing

@testable import Containers

/// No byte of a container can change unseen, and no bytes whatever trap.
@Suite("damaged packed-quant containers")
struct PackedQuantDamageTests {
  private func isRefused(_ bytes: [UInt8]) -> Bool {
    do {
      return try !PackedQuantFile(bytes).check(threads: 1).isEmpty
    } catch {
      return true
    }
  }

  @Test func everyFlippedByteIsFound() throws {
    let whole = try PackedSamples.container(PackedSamples.sources(), layers: [PackedSamples.layer])
    #expect(!isRefused(whole))
    var random = SplitMix64(seed: 0xB1)
    for position in whole.indices {
      var damaged = whole
      damaged[position] ^= UInt8(1) << UInt8(random.next() % 8)
      #expect(isRefused(damaged), "byte \(position) of \(whole.count)")
    }
  }

  @Test func everyTruncationIsRefused() throws {
    let whole = try PackedSamples.container(PackedSamples.sources())
    for count in 0..<whole.count {
      let failure = #expect(throws: Failure.self, "\(count) bytes") {
        try PackedQuantFile(Array(whole.prefix(count)))
      }
      #expect(failure?.rule != nil, "\(count) bytes: \(failure!)")
    }
    #expect(isRefused(whole + [0]))
  }

  /// Mutations of the directory behind right checksums, so that the parser itself is met.
  /// `NIBBLE_FUZZ` asks for more rounds.
  @Test(arguments: 0..<8)
  func mutatedDirectories(seed: UInt64) throws {
    var random = SplitMix64(seed: 0xB200 + seed)
    let whole = try PackedSamples.container(PackedSamples.sources(), layers: [PackedSamples.layer])
    let opened = try PackedQuantFile(whole)
    let directory = opened.directory.bytes
    for _ in 0..<Fixtures.fuzzRounds {
      var mutated = directory
      for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&mutated, &random) }
      // A value that is really there, or a failure with its rule; never a trap.
      do {
        let parsed = try PackedQuantDirectory(
          parsing: mutated, end: opened.directoryOffset, at: "mutated")
        #expect(parsed.extensionsFree(mutated), "\(random)")
      } catch let failure as Failure {
        #expect(failure.rule?.hasPrefix("PQ-") == true, "\(failure), \(random)")
      }
    }
  }

  /// Mutations of regions behind right checksums: decoders meet any bytes.
  @Test(arguments: 0..<8)
  func mutatedChunks(seed: UInt64) throws {
    var random = SplitMix64(seed: 0xB300 + seed)
    let whole = try PackedSamples.container(PackedSamples.sources())
    let opened = try PackedQuantFile(whole)
    let blobs = opened.directory.files.flatMap(\.blobs).filter { !$0.chunks.isEmpty }
    let workspace = Workspace()
    for _ in 0..<Fixtures.fuzzRounds {
      let blob = blobs.randomElement(using: &random)!
      let chunk = blob.chunks[0]
      var region = Array(whole[chunk.region])
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let position = Int.random(in: 0..<region.count, using: &random)
        region[position] = UInt8(truncatingIfNeeded: random.next())
      }
      let changed = PackedQuantDirectory.Chunk(
        pieces: chunk.pieces, region: chunk.region, checksum: XXH64.hash(region.rawSpan))
      _ = fenced(region, count: blob.range(of: 0).count) { region, target in
        // Either way: the fences around the target must stand.
        try? changed.expand(region, blob.transform, into: &target, workspace)
      }
    }
  }

  private func mutate(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
    let position = Int.random(in: 0..<bytes.count, using: &random)
    switch Int.random(in: 0..<6, using: &random) {
    case 0: bytes[position] = UInt8(truncatingIfNeeded: random.next())
    case 1: bytes[position] ^= UInt8(1) << UInt8(random.next() % 8)
    case 2: bytes.remove(at: position)
    case 3: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: position)
    case 4: bytes.removeSubrange(position...)
    default:
      bytes.replaceSubrange(
        position..<position, with: [UInt8](repeating: 0xFF, count: 8) + [0x7F])
    }
    if bytes.isEmpty { bytes = [0] }
  }
}

extension PackedQuantDirectory {
  /// One meaning has one spelling: what was read gives the same bytes, but for extensions, which
  /// are skipped.
  fileprivate func extensionsFree(_ parsed: [UInt8]) -> Bool {
    bytes == parsed || parsed.starts(with: bytes.dropLast())
  }
}
