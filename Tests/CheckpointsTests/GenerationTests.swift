import Checkpoints
import TestKit
import Testing

@Suite struct GenerationTests {
  private let model = CountingModel()
  private let prompt: [UInt32] = [3, 1, 4, 1, 5]

  private func generate(
    _ sampling: Sampling = .greedy, limit: Int = 10, stops: Set<UInt32> = [],
    take: (UInt32) -> Bool = { _ in true }
  ) throws -> Generation {
    try Generation(
      model, prompt: prompt, sampling: sampling, limit: limit, stopTokens: stops, take: take)
  }

  /// Each token is the most probable one behind all before it.
  @Test func greedy() throws {
    let result = try generate()
    #expect(result.ids.count == 10 && result.ending == .limit && result.decodedTokens == 9)
    for count in 0..<10 {
      let context = try model.makeContext(sequences: 1, capacity: 100)
      let ids = (prompt + result.ids.prefix(count)).map(Int32.init)
      #expect(try UInt32(Sampler.best(context.read(ids, .last))) == result.ids[count])
    }
  }

  @Test func endings() throws {
    let whole = try generate().ids
    let stopped = try generate(stops: [whole[4]])
    #expect(stopped.ids == Array(whole.prefix { $0 != whole[4] }) && stopped.ending == .stopToken)
    var count = 0
    let taken = try generate {
      _ in
      count += 1
      return count < 3
    }
    #expect(taken.ids == Array(whole.prefix(3)) && taken.ending == .stopped)
    var small = model
    small.maximumPositions = 7
    let full = try Generation(small, prompt: prompt, limit: 10) { _ in true }
    // The last token need not be read.
    #expect(full.ids == Array(whole.prefix(3)) && full.ending == .positions)
  }

  @Test func drawnTwiceAlike() throws {
    let sampling = Sampling(temperature: 1.5, topK: 20, topP: 0.9, seed: 5)
    #expect(try generate(sampling).ids == generate(sampling).ids)
    #expect(try generate(sampling).ids != generate().ids)
  }

  @Test func refused() {
    for prompt in [[], [29], (0..<201).map { UInt32($0 % 29) }] as [[UInt32]] {
      let failure = #expect(throws: Failure.self) {
        try Generation(model, prompt: prompt, limit: 1) { _ in true }
      }
      #expect(failure?.kind == .usage)
    }
  }

  @Test func logitsFile() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("logits.safetensors")
    let ids = (0..<20).map { UInt32($0) }
    // Parts of three tokens.
    try LogitsFile.write(
      path, of: model, ids: ids, force: false, sync: false, mostBytes: 29 * 4 * 3)
    let context = try model.makeContext(sequences: 1, capacity: 20)
    let expected = try context.read(ids.map(Int32.init), .all)
    let tensors = try ShardedTensors(opening: path)
    let logits = try #require(tensors["logits"])
    #expect(logits.info.shape == [20, 29] && logits.info.dtype == .f32)
    let bytes = try FileSystem.contents(of: path, limit: 1 << 20)
    #expect(Array(bytes.suffix(20 * 29 * 4)) == expected.rawSpan.array)
    #expect(tensors["input_ids"]?.info.shape == [20])
    let failure = #expect(throws: Failure.self) {
      try LogitsFile.write(path, of: model, ids: ids, force: false)
    }
    #expect(failure?.kind == .usage)
    var broken = model
    broken.broken = 7
    #expect(throws: Failure.self) {
      try LogitsFile.write(folder.path("other"), of: broken, ids: ids, force: false)
    }
    #expect(try FileSystem.names(in: folder.path) == ["logits.safetensors"])
  }

  /// Greedy tokens of a GPTQ checkpoint as transformers gives them with GPTQModel's weights.
  @Test func tokensOfThePeer() throws {
    let prompt: [UInt32] = [
      406, 1112, 2779, 789, 1504, 13, 1836, 948, 594, 13, 13, 607, 1088, 846, 431, 323, 939,
      296, 1265, 796, 267, 2559, 302, 13, 3162, 1504, 331, 905, 302, 4031, 1685, 296,
    ]
    let expected: [UInt32] = [
      267, 788, 420, 4024, 13, 13, 607, 318, 1095, 4035, 291, 261, 318, 1095, 4035, 827, 4024,
      13, 13, 607, 318, 1095, 4035, 291, 261, 318, 1095, 4035, 827, 4024, 13, 13,
    ]
    let model = try Checkpoint(opening: Fixtures.path("demo-model")).model(
      on: CPUCompute(threads: 2))
    let result = try Generation(model, prompt: prompt, limit: 32) { _ in true }
    #expect(result.ids == expected)
    #expect(result.promptTokens == 32 && result.decodedTokens == 31)
  }
}
