import Checkpoints
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

/// Several layouts from one reading of the source: each as if it had been written alone.
@Suite struct SeveralTargetsTests {
  private let folder: TemporaryFolder
  private let source: String

  init() throws {
    folder = try TemporaryFolder()
    source = folder.path("in")
    try Model.queries(layers: 4, columns: 512).write(to: source)
  }

  private static let targets = ["awq", "compressed-tensors", "mlx", "dense"]

  private static func jobs(
    _ source: String, into folder: String, sync: Bool, threads: Int = 2
  ) throws -> [(plan: ConversionPlan, path: String)] {
    let checkpoint = try Checkpoint(opening: source)
    return try targets.map { target in
      var options = try ConversionOptions(target: target)
      options.maxShardBytes = 20_000
      (options.threads, options.sync) = (threads, sync)
      return (try ConversionPlan(checkpoint, options), "\(folder)/\(target)")
    }
  }

  /// The bytes of every layout, each written by a run of its own.
  private func alone() throws -> [String: [UInt8]] {
    let path = folder.path("alone")
    try FileSystem.makeFolder(path)
    for (plan, output) in try Self.jobs(source, into: path, sync: false) {
      _ = try plan.pour(to: output)
    }
    return try Files.contents(of: path)
  }

  @Test(arguments: [1, 3]) func eachIsAsIfWrittenAlone(threads: Int) throws {
    let whole = try alone()
    let output = folder.path("out")
    try FileSystem.makeFolder(output)
    let jobs = try Self.jobs(source, into: output, sync: false, threads: threads)
    let reports = try ConversionPlan.pour(jobs)
    #expect(reports.map(\.target.name) == jobs.map(\.plan.options.target.name))
    #expect(try Files.contents(of: output) == whole)
  }

  /// The process kills itself at its n-th report of progress, while it writes or proves one or the other; all
  /// layouts take their names together.
  @Test(arguments: [1, 4, 9, 16, 25, 32, 36, 40, 44]) func killedRunIsGoneOnWith(at step: Int)
    async throws
  {
    let whole = try alone()
    let output = folder.path("out")
    try FileSystem.makeFolder(output)
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [source = source as String, output = output as String, step] in
      let reports = Reports()
      let jobs = try SeveralTargetsTests.jobs(source, into: output, sync: true)
      _ = try ConversionPlan.pour(jobs) { _, _, _ in
        if reports.next() == step { raise(SIGKILL) }
      }
    }
    for name in try FileSystem.names(in: output) {
      #expect(name.hasSuffix(".unfinished"), "\(name)")
      #expect(throws: Failure.self) { try Checkpoint(opening: "\(output)/\(name)") }
    }
    _ = try ConversionPlan.pour(Self.jobs(source, into: output, sync: true))
    #expect(try Files.contents(of: output) == whole)
  }
}
