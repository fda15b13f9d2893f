import Checkpoints
import Codecs
import Kernels
import Synchronization
import TensorCore
import TestKit
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Conversions that are cut short: by `kill -9`, by a file that may not grow, by a shard that can't
/// be read. A reader never sees half a model, and the next run ends with the bytes of a whole one.
@Suite struct ResumeTests {
  private let folder: TemporaryFolder
  private let source: String

  init() throws {
    folder = try TemporaryFolder()
    source = folder.path("in")
    try Model.queries(layers: 6, columns: 2048).write(to: source)
  }

  /// The conversion of `source` into many small shards, flushed, so that it can be gone on with.
  fileprivate static func plan(_ source: String) throws -> ConversionPlan {
    var options = try ConversionOptions(target: "awq")
    options.maxShardBytes = 40_000
    options.threads = 2
    return try ConversionPlan(Checkpoint(opening: source), options)
  }

  private var output: String { folder.path("out") }

  /// The bytes of a run that nothing disturbs.
  private func undisturbed() throws -> [String: [UInt8]] {
    let path = folder.path("whole")
    _ = try Self.plan(source).pour(to: path)
    return try Files.contents(of: path)
  }

  /// No model under the final name, and what is unfinished is not taken for one.
  private func expectNoModel() throws {
    #expect(FileSystem.kind(of: output) == nil)
    let staging = output + ".unfinished"
    guard FileSystem.kind(of: staging) != nil else { return }
    #expect(try FileSystem.names(in: staging).contains(OutputFolder.journalName))
    #expect(throws: Failure.self) { try Checkpoint(opening: staging) }
  }

  private func expectGoesOn(_ whole: [String: [UInt8]]) throws {
    _ = try Self.plan(source).pour(to: output)
    #expect(try Files.contents(of: output) == whole)
    #expect(try folder.names() == ["in", "out", "whole"])
  }

  /// The process kills itself at its n-th report of progress, after which nothing of it runs.
  @Test(arguments: [1, 2, 3, 5, 8, 13, 18, 20, 24]) func killedRunIsGoneOnWith(at step: Int)
    async throws
  {
    let whole = try undisturbed()
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [source = source as String, output = output as String, step] in
      let reports = Reports()
      _ = try ResumeTests.plan(source).pour(to: output) { _, _, _ in
        if reports.next() == step { raise(SIGKILL) }
      }
    }
    try expectNoModel()
    try expectGoesOn(whole)
  }

  /// A disk that is full: files may grow to a limit and no further, at every place in a shard.
  @Test(arguments: [0, 100, 9000, 12_000, 20_000, 30_000]) func fullDiskIsGoneOnWith(limit: Int)
    async throws
  {
    let whole = try undisturbed()
    await #expect(processExitsWith: .exitCode(7)) {
      [source = source as String, output = output as String, limit] in
      signal(SIGXFSZ, SIG_IGN)
      let plan = try ResumeTests.plan(source)
      var size = rlimit(rlim_cur: rlim_t(limit), rlim_max: rlim_t(limit))
      // SAFETY: the structure is a local variable.
      guard unsafe setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &size) == 0 else {
        exit(1)
      }
      do {
        _ = try plan.pour(to: output)
      } catch let failure as Failure where failure.kind == .io {
        exit(7)
      }
    }
    try expectNoModel()
    try expectGoesOn(whole)
  }

  /// A shard of the source loses its end, and is whole again for the next run.
  @Test func unreadableShardIsGoneOnWith() throws {
    var options = ConversionOptions(target: .asIs)
    options.maxShardBytes = 50_000
    options.sync = false
    let sharded = folder.path("sharded")
    _ = try ConversionPlan(Checkpoint(opening: source), options).pour(to: sharded)
    let whole = folder.path("whole")
    let plan = try Self.plan(sharded)
    _ = try plan.pour(to: whole)
    let shards = plan.source.tensors.files.map(\.source.path)
    #expect(shards.count > 2)
    for path in shards {
      let bytes = try FileSystem.contents(of: path, limit: 1 << 20)
      let plan = try Self.plan(sharded)
      // SAFETY: the string is lent for the call.
      #expect(unsafe truncate(path, 700) == 0)
      let failure = #expect(throws: Failure.self) { try plan.pour(to: output) }
      #expect(failure?.kind == .io)
      try expectNoModel()
      try FileSystem.removeFolder(path)
      try Files.write(bytes, to: path)
      _ = try Self.plan(sharded).pour(to: output)
      #expect(try Files.contents(of: output) == Files.contents(of: whole))
      try FileSystem.removeFolder(output)
    }
  }

  /// Another source under the same name is never mixed with what was done of the first.
  @Test func otherSourceStartsAnew() async throws {
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [source = source as String, output = output as String] in
      let reports = Reports()
      _ = try ResumeTests.plan(source).pour(to: output) { _, _, _ in
        if reports.next() == 12 { raise(SIGKILL) }
      }
    }
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj", columns: 256, seed: 99)
    model.config = Model.gptqConfig()
    try FileSystem.removeFolder(source)
    try model.write(to: source)
    let whole = try undisturbed()
    try expectGoesOn(whole)
  }
}

/// Counts calls from any thread.
final class Reports: Sendable {
  private let count = Mutex(0)

  func next() -> Int {
    count.withLock { count in
      count += 1
      return count
    }
  }
}
