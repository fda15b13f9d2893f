import Containers
import TensorCore
import TestKit
import Testing

/// The heads of GGUF files: what pip gguf writes is read, what breaks a rule is refused by it.
@Suite struct GGUFTests {
  private static func header(_ path: String) throws -> GGUFHeader {
    try GGUFHeader(reading: InputFile(path: path))
  }

  @Test func everyKindIsRead() throws {
    let header = try Self.header(Fixtures.path("gguf/valid/every-kind.gguf"))
    #expect(header.version == 3)
    let expected: [(String, GGUFValue)] = [
      ("general.alignment", .unsigned(64)), ("a.u8", .unsigned(200)), ("a.i8", .signed(-3)),
      ("a.u16", .unsigned(60000)), ("a.i16", .signed(-30000)), ("a.u32", .unsigned(4_000_000_000)),
      ("a.i32", .signed(-2_000_000_000)), ("a.u64", .unsigned(1 << 63)),
      ("a.i64", .signed(-1 << 62)),
      ("a.f32", .real(0.5)), ("a.f64", .real(-0.125)), ("a.bool", .bool(true)),
      ("a.string", .string("grüße")), ("a.strings", .array(.string, count: 3)),
      ("a.numbers", .array(.int32, count: 5)),
    ]
    #expect(header.metadata.map { $0.key } == expected.map { $0.0 })
    for (key, value) in expected { #expect(header[key] == value, "\(key)") }
    #expect(header["a.i8"]?.int == -3 && header["a.u64"]?.int == nil && header["else"] == nil)
    #expect(header.tensors.map(\.name) == ["plain", "halves", "blocks"])
    #expect(header.tensors.map(\.shape) == [[2, 3], [4], [2, 64]])
    #expect(header.tensors.map(\.byteCount) == [24, 8, 136])
    #expect(header.tensors.map(\.type.name) == ["F32", "F16", "Q8_0"])
    #expect(header.tensors.allSatisfy { $0.offset % 64 == 0 })
    let plain = try #require(header.tensor(header.tensors[0]))
    let block = try plain.contents()
    #expect((0..<6).map { block.bytes.float32(at: $0) } == [0, 1, 2, 3, 4, 5])
    #expect(header.tensor(header.tensors[2]) == nil)
  }

  @Test func brokenFilesAreRefusedByTheirRule() throws {
    let paths = try Fixtures.paths(in: "gguf/invalid")
    #expect(paths.count > 20)
    for path in paths {
      let failure = #expect(throws: Failure.self, "\(path)") { try Self.header(path) }
      #expect(failure?.rule == Fixtures.rule(of: path), "\(path): \(String(describing: failure))")
    }
  }

  /// Every file that is cut short, or has any one byte changed, is read or refused; nothing traps.
  @Test func damageNeverTraps() throws {
    let path = Fixtures.path("gguf/valid/every-kind.gguf")
    let file = try InputFile(path: path)
    let whole = try file.contents(0..<file.size)
    var random = SplitMix64(seed: 5)
    for length in 0..<whole.count {
      do { _ = try GGUFHeader(reading: MemorySource(Array(whole[..<length]))) } catch is Failure {}
    }
    for place in 0..<640 {
      var bytes = whole
      bytes[place] = UInt8.random(in: 0...255, using: &random)
      do { _ = try GGUFHeader(reading: MemorySource(bytes)) } catch is Failure {}
    }
  }
}
