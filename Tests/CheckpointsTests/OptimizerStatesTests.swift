import Checkpoints
import TensorCore
import TestKit
import Testing

@Suite("Optimizer states in safetensors")
struct OptimizerStatesTests {
  static let valid = [
    "adamw8bit", "adamw8bit-unwrapped", "lion8bit", "ademamix8bit", "adam32bit",
  ]

  private static func path(_ name: String) -> String {
    Fixtures.path("bitsandbytes-optim/valid/\(name).safetensors")
  }

  /// All numbers of a file by tensor name, without the wrapper.
  private func values(_ path: String) throws -> [String: [Float]] {
    let header = try SafetensorsHeader(reading: InputFile(path: path))
    var values: [String: [Float]] = [:]
    for tensor in header.tensors where tensor.dtype == .f32 || tensor.dtype == .u8 {
      let block = try tensor.contents()
      let bytes = block.bytes
      let name = tensor.name.split(separator: ".").filter { !$0.hasPrefix("__") }
      values[name.joined(separator: ".")] = (0..<tensor.shape.count).map {
        tensor.dtype == .u8 ? Float(bytes.uint8(at: $0)) : bytes.float32(at: $0)
      }
    }
    return values
  }

  @Test("what the peer's optimizers saved opens", arguments: valid)
  func opens(name: String) throws {
    let states = try OptimizerStates(opening: Self.path(name))
    let first = try #require(states.entries.first)
    #expect(first.name.text == "state.0")
    let kinds: [String: OptimizerEntry.Kind] = ["lion8bit": .one, "ademamix8bit": .mixed]
    #expect(first.kind == kinds[name] ?? .two)
    #expect(first.bits == (name == "adam32bit" ? 32 : 8))
    #expect(first.block == (name == "adam32bit" ? nil : 256))
    let report = try StateReport(first)
    #expect(report.states.allSatisfy { $0.notFinite == 0 && ($0.usedCodes ?? 2) > 1 })
    if name.hasPrefix("adamw") {
      #expect(states.entries.map(\.bits) == [8, 32] && states.entries.map(\.count) == [4224, 40])
    }
  }

  @Test("what is broken is refused by its rule")
  func refused() throws {
    for path in try Fixtures.paths(in: "bitsandbytes-optim/invalid") {
      let failure = #expect(throws: Failure.self) {
        for entry in try OptimizerStates(opening: path).entries { _ = try StateReport(entry) }
      }
      #expect(
        failure?.rule == Fixtures.rule(of: path), "\(path.fileName): \(String(describing: failure))"
      )
    }
  }

  @Test("8 bits to 32: map times scale, the rest byte for byte", arguments: valid.dropLast())
  func expands(name: String) throws {
    let folder = try TemporaryFolder()
    let states = try OptimizerStates(opening: Self.path(name))
    let output = folder.path("out.safetensors")
    try OptimizerConversion(states, to: .bits32).write(to: output, sync: false)
    let before = try values(Self.path(name))
    let after = try values(output)
    for entry in states.entries where entry.bits == 8 {
      for key in entry.kind == .one ? ["1"] : ["1", "2"] {
        let codes = try #require(before["\(entry.name.text).state\(key)"])
        let map = try #require(before["\(entry.name.text).qmap\(key)"])
        let scales = try #require(before["\(entry.name.text).absmax\(key)"])
        let blocks = (entry.count + 255) / 256
        let expected = codes.indices.map { index in
          map[Int(codes[index])] * scales[index / entry.count * blocks + index % entry.count / 256]
        }
        #expect(
          mismatch(after["\(entry.name.text).state\(key)"] ?? [], expected, by: .sameBits) == nil)
        #expect(after["\(entry.name.text).absmax\(key)"] == nil)
      }
    }
    #expect(try OptimizerStates(opening: output).entries.allSatisfy { $0.bits == 32 })
    if name.hasPrefix("adamw") {
      #expect(after["state.1.state1"] == before["state.1.state1"])
      #expect(after["state.1.step"] == before["state.1.step"])
    }
  }

  @Test("32 bits to 8 and back: half a step of the map at most", arguments: [1, 2])
  func quantizes(threads: Int) throws {
    let folder = try TemporaryFolder()
    let source = Self.path("adam32bit")
    let states = try OptimizerStates(opening: source)
    let small = folder.path("8.safetensors")
    try OptimizerConversion(states, to: .bits8).write(to: small, sync: false, threads: threads)
    let back = folder.path("32.safetensors")
    let coded = try OptimizerStates(opening: small)
    #expect(coded.entries.map(\.bits) == [8])
    try OptimizerConversion(coded, to: .bits32).write(to: back, sync: false)
    let (a, b) = (try values(source), try values(back))
    for key in ["state.0.state1", "state.0.state2"] {
      let most = a[key]?.map(\.magnitude).max() ?? 0
      #expect(mismatch(b[key] ?? [], a[key] ?? [], by: .within(most / 64)) == nil)
    }
    // The same codes again.
    let again = folder.path("again.safetensors")
    try OptimizerConversion(OptimizerStates(opening: back), to: .bits8).write(
      to: again, sync: false)
    #expect(try values(again)["state.0.state1"]?.count == 4100)
  }

  @Test("small parameters and overrides keep 32 bits")
  func kept() throws {
    let states = try OptimizerStates(opening: Self.path("adam32bit"))
    let asked = OptimizerConversion(states, to: .bits8) { $0 == "state.0" }
    #expect(asked.kept.map(\.text) == ["state.0"] && asked.converted.isEmpty)
    #expect(OptimizerConversion(states, to: .bits8).converted.map(\.text) == ["state.0"])
    let mixed = try OptimizerStates(opening: Self.path("adamw8bit"))
    #expect(OptimizerConversion(mixed, to: .bits8).converted.isEmpty)
    #expect(StatePolicy.is8Bit(count: 4096, isOverridden: false))
    #expect(!StatePolicy.is8Bit(count: 4095, isOverridden: false))
    #expect(!StatePolicy.is8Bit(count: 4096, isOverridden: true))
  }

  @Test("AdEMAMix whose count 256 does not divide: one scale for two blocks by the CUDA rules")
  func misaligned() throws {
    let folder = try TemporaryFolder()
    let count = 4096 + 44
    var random = SplitMix64(seed: 0x70)
    let values = (0..<3 * count).map { _ in Float.random(in: 0.01...1, using: &random) }
    let file = try OutputFile(path: folder.path("a.safetensors"))
    let stream = try SafetensorsStream(to: file, names: ["x.state1", "x.state2"])
    for (name, shape, part) in [
      ("x.state1", [2, count], values[..<(2 * count)]),
      ("x.state2", [count], values[(2 * count)...]),
    ] {
      let info = TensorInfo(name: name, dtype: .f32, shape: try #require(Shape(shape)))
      try stream.append(try #require(info), bytes: Array(part).rawSpan)
    }
    try stream.finish(sync: false)
    for rules in PeerRules.allCases {
      let states = try OptimizerStates(opening: folder.path("a.safetensors"))
      let small = folder.path("\(rules)8")
      try OptimizerConversion(states, to: .bits8, rules: rules).write(to: small, sync: false)
      let coded = try OptimizerStates(opening: small)
      try OptimizerConversion(coded, to: .bits32, rules: rules)
        .write(to: folder.path("\(rules)32"), sync: false)
      let back = try self.values(folder.path("\(rules)32"))
      #expect(
        mismatch(back["x.state1"] ?? [], Array(values[..<(2 * count)]), by: .within(0.02)) == nil)
    }
  }

  @Test("nothing is replaced without force, and the source never")
  func outputs() throws {
    let folder = try TemporaryFolder()
    let states = try OptimizerStates(opening: Self.path("lion8bit"))
    let conversion = OptimizerConversion(states, to: .bits32)
    try folder.write([1], to: "there")
    #expect(throws: Failure.self) { try conversion.write(to: folder.path("there")) }
    try conversion.write(to: folder.path("there"), force: true, sync: false)
    #expect(throws: Failure.self) { try conversion.write(to: Self.path("lion8bit"), force: true) }
    #expect(try folder.names() == ["there"])
  }
}
