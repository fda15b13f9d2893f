import TestKit
import Testing

@testable import Checkpoints

@Suite struct PerplexityTests {
  private let model = CountingModel()
  private let ids = (0..<157).map { UInt32($0 * $0 % 29) }

  private func options(_ context: Int, _ stride: Int? = nil) -> PerplexityOptions {
    var options = PerplexityOptions()
    options.context = context
    options.stride = stride
    options.threads = 2
    options.sync = false
    return options
  }

  /// Each window alone, all logits at once.
  private func expected(_ windows: TextWindows) throws -> Double {
    var estimate = PerplexityEstimate()
    for window in 0..<windows.count {
      let range = windows[window]
      let context = try model.makeContext(sequences: 1, capacity: range.count)
      let rows = LogitBlock(
        try context.read(ids[range].map(Int32.init), .all), vocabularySize: model.vocabularySize)
      let scores = TokenScore.scores(
        rows, base: nil, targets: Array(ids[range].dropFirst()) + [0], threads: 1)
      for target in windows.targets(window) {
        estimate.add(scores[target - range.lowerBound - 1].loss)
      }
    }
    return estimate.perplexity
  }

  @Test(arguments: [(16, nil), (157, nil), (16, 5), (40, 40), (200, 3)] as [(Int, Int?)])
  func windows(context: Int, stride: Int?) throws {
    let result = try Perplexity(of: model, ids: ids, options(context, stride))
    let value = try expected(result.windows)
    #expect(result.estimate.perplexity == value)
    #expect(result.estimate.tokens == result.windows.targetCount)
    // One row at a time, and three.
    for bytes in [1, 29 * 4 * 3, 29 * 4 * 40] {
      let stream = try WindowLogits(model, ids: ids, windows: result.windows, mostBytes: bytes)
      let parts = try Perplexity(
        of: stream, base: nil, ids: ids, windows: result.windows, writer: nil, threads: 1
      ) { _ in }
      #expect(parts.estimate.perplexity == value)
    }
  }

  /// A model against itself, against another, and against what was saved of it.
  @Test func against() throws {
    let folder = try TemporaryFolder()
    var saving = options(16)
    saving.savesTo = folder.path("logits")
    var other = model
    other.salt = 2
    let saved = try Perplexity(of: other, ids: ids, saving)
    #expect(saved.savedBytes ?? 0 > 0)
    let same = try #require(
      try Perplexity(of: model, ids: ids, against: .model(model), options(16)).divergence)
    #expect(same.meanDivergence.value == 0 && same.sameTop.value == 1)
    let live = try #require(
      try Perplexity(of: model, ids: ids, against: .model(other), options(16)).divergence)
    let file = try #require(
      try Perplexity(
        of: model, ids: ids, against: .file(folder.path("logits")), options(16)
      ).divergence)
    #expect(live.meanDivergence.value > 0.1)
    #expect((live.meanDivergence.value - file.meanDivergence.value).magnitude < 1e-3)
    #expect((live.basePerplexity / saved.estimate.perplexity - 1).magnitude < 1e-12)
    #expect(live.sameTop == file.sameTop)
    let failure = #expect(throws: Failure.self) { try Perplexity(of: other, ids: ids, saving) }
    #expect(failure?.kind == .usage)
    let longer = #expect(throws: Failure.self) {
      try Perplexity(of: model, ids: ids, against: .file(folder.path("logits")), options(8))
    }
    #expect(longer?.rule == "SL-7")
  }

  @Test func refused() throws {
    var broken = model
    broken.broken = 4
    let failure = #expect(throws: Failure.self) {
      try Perplexity(of: broken, ids: ids, options(16))
    }
    #expect(failure?.what.contains("NaN") ?? false)
    var narrow = model
    narrow.vocabularySize = 20
    #expect(throws: Failure.self) { try Perplexity(of: narrow, ids: ids, options(16)) }
    #expect(throws: Failure.self) {
      try Perplexity(of: model, ids: ids, against: .model(narrow), options(16))
    }
    var short = model
    short.maximumPositions = 15
    #expect(throws: Failure.self) { try Perplexity(of: short, ids: ids, options(16)) }
  }
}
