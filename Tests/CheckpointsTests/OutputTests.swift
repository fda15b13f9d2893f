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

/// Where outputs may go, and what is left when they may not.
@Suite struct OutputTests {
  private let folder: TemporaryFolder
  private let source: String

  init() throws {
    folder = try TemporaryFolder()
    source = folder.path("in")
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj")
    model.addGPTQ("model.layers.1.q_proj", seed: 3)
    model.addDense("model.norm.weight", [64])
    model.config = Model.gptqConfig()
    model.others = ["tokenizer.json": "{}"]
    try model.write(to: source)
  }

  private func plan(
    from path: String? = nil, _ change: (inout ConversionOptions) -> Void = { _ in }
  ) throws -> ConversionPlan {
    var options = try ConversionOptions(target: "awq")
    options.sync = false
    change(&options)
    return try ConversionPlan(Checkpoint(opening: path ?? source), options)
  }

  /// The failure of a pour that must leave the folder of the test as it was.
  private func refused(_ plan: ConversionPlan, _ path: String) throws -> Failure {
    let before = try Files.contents(of: folder.path)
    let failure = try #require(throws: Failure.self) { try plan.pour(to: path) }
    #expect(try Files.contents(of: folder.path) == before)
    return failure
  }

  @Test func existingOutputIsRefused() throws {
    let path = folder.path("out")
    _ = try plan().pour(to: path)
    let failure = try refused(plan(), path)
    #expect(failure.kind == .usage)
    #expect(failure.remedy?.contains("--force") == true)
    try Files.write("text", to: folder.path("file"))
    #expect(try refused(plan { $0.force = true }, folder.path("file")).kind == .usage)
  }

  @Test func emptyFolderMayBeFilled() throws {
    try FileSystem.makeFolder(folder.path("out"))
    _ = try plan().pour(to: folder.path("out/"))
    #expect(try folder.names() == ["in", "out"])
  }

  @Test func forceReplacesTheWholeFolder() throws {
    let path = folder.path("out")
    _ = try plan().pour(to: path)
    try Files.write("stale", to: path + "/stale.txt")
    _ = try plan { $0.force = true }.pour(to: path)
    #expect(FileSystem.kind(of: path + "/stale.txt") == nil)
    #expect(try Checkpoint(opening: path).findings.isEmpty)
    #expect(try folder.names() == ["in", "out"])
  }

  @Test func forceSparesWhatIsNoCheckpoint() throws {
    try FileSystem.makeFolder(folder.path("thesis"))
    try Files.write("years of work", to: folder.path("thesis/chapter.txt"))
    let failure = try refused(plan { $0.force = true }, folder.path("thesis"))
    #expect(failure.kind == .usage)
  }

  @Test func linkIsReplacedAndNotWhatItLeadsTo() throws {
    _ = try plan().pour(to: folder.path("real"))
    let before = try Files.contents(of: folder.path("real"))
    // SAFETY: the strings are lent for the call.
    #expect(unsafe symlink(folder.path("real"), folder.path("link")) == 0)
    _ = try plan { $0.force = true }.pour(to: folder.path("link"))
    #expect(try Files.contents(of: folder.path("real")) == before)
    #expect(
      FileSystem.realPath(folder.path("link"))
        == FileSystem.realPath(folder.path).map { $0 + "/link" })
    #expect(try folder.names() == ["in", "link", "real"])
  }

  /// The output inside the source, the source inside the output, and both by other names.
  @Test(arguments: ["in", "in/", "in/out", "in/out/", "in/deep/../out", "alias/out/", "", "."])
  func sourceIsNeverTouched(output: String) throws {
    // SAFETY: the strings are lent for the call.
    #expect(unsafe symlink(source, folder.path("alias")) == 0)
    try FileSystem.makeFolder(source + "/deep")
    let plan = try plan { $0.force = true }
    let path = output.isEmpty ? folder.path : folder.path + "/" + output
    let before = try Files.contents(of: source)
    let failure = try #require(throws: Failure.self) { try plan.pour(to: path) }
    #expect(failure.kind == .usage, "\(failure)")
    #expect(try Files.contents(of: source) == before)
    #expect(try folder.names() == ["alias", "in"])
  }

  /// The place an output is staged in is emptied first: it must not be the source.
  @Test func sourceNamedLikeAStagingFolderIsSpared() throws {
    try Files.copy(source, to: folder.path("out.unfinished"))
    let plan = try plan(from: folder.path("out.unfinished"))
    #expect(try refused(plan, folder.path("out")).kind == .usage)
    #expect(try refused(plan, folder.path("out/")).kind == .usage)
  }

  @Test func leftoverOfACrashIsCleared() throws {
    try FileSystem.makeFolder(folder.path("out.unfinished"))
    try FileSystem.makeFolder(folder.path("out.unfinished/code"))
    try Files.write("half", to: folder.path("out.unfinished/model.safetensors.partial"))
    try Files.write("half", to: folder.path("out.unfinished/code/model.py"))
    try Files.write("{}", to: folder.path("out.unfinished/" + OutputFolder.journalName))
    // SAFETY: the strings are lent for the call.
    #expect(unsafe symlink(source, folder.path("out.unfinished/link")) == 0)
    let before = try Files.contents(of: source)
    let clean = try Converted(source, to: "awq")
    _ = try plan().pour(to: folder.path("out"))
    #expect(try folder.names() == ["in", "out"])
    #expect(try Files.contents(of: folder.path("out")) == clean.files)
    #expect(try Files.contents(of: source) == before)
  }

  /// Only what a run of this program marked as its own is cleared.
  @Test func folderOfTheStagingNameIsSpared() throws {
    try FileSystem.makeFolder(folder.path("out.unfinished"))
    try Files.write("years of work", to: folder.path("out.unfinished/chapter.txt"))
    #expect(try refused(plan(), folder.path("out")).kind == .usage)
    #expect(try refused(plan { $0.force = true }, folder.path("out")).kind == .usage)
  }

  @Test func placeThatCannotBeWrittenIsIO() throws {
    try Files.write("text", to: folder.path("file"))
    #expect(try refused(plan(), folder.path("file/out")).kind == .io)
    #expect(try refused(plan(), folder.path("missing/out")).kind == .io)
    try Files.write("text", to: folder.path("out.unfinished"))
    #expect(try refused(plan(), folder.path("out")).kind == .io)
  }

  @Test func twoRunsExcludeEachOther() throws {
    let other = try OutputFolder(path: folder.path("out"), replacing: false)
    try other.write([1, 2, 3], to: "file", sync: false)
    #expect(try refused(plan(), folder.path("out")).kind == .io)
    other.discard()
    #expect(try folder.names() == ["in"])
  }

  /// The source loses its end between plan and pour.
  @Test func failureHalfwayLeavesNothing() throws {
    let plan = try plan { $0.threads = 3 }
    let path = source + "/model.safetensors"
    let size = try InputFile(path: path).size
    // SAFETY: the string is lent for the call.
    #expect(unsafe truncate(path, off_t(size - 9)) == 0)
    #expect(try refused(plan, folder.path("out")).kind == .io)
    _ = try Converted(Samples.awq, to: "gptq").plan.pour(to: folder.path("out"))
    let replacing = try #require(throws: Failure.self) { try refusedReplacement(plan) }
    #expect(replacing.kind == .io)
  }

  /// A failed replacement leaves the folder that was to be replaced.
  private func refusedReplacement(_ plan: ConversionPlan) throws {
    var options = plan.options
    options.force = true
    let before = try Files.contents(of: folder.path)
    defer { #expect(throws: Never.self) { try self.expectUnchanged(before) } }
    let damaged = try ConversionPlan(plan.source, options)
    _ = try damaged.pour(to: folder.path("out"))
  }

  private func expectUnchanged(_ before: [String: [UInt8]]) throws {
    #expect(try Files.contents(of: folder.path) == before)
  }

  /// Two links from a folder into itself: listing it must end.
  @Test(.timeLimit(.minutes(1))) func sideFoldersThatLeadIntoThemselvesEnd() throws {
    try FileSystem.makeFolder(source + "/code")
    try Files.write("pass", to: source + "/code/model.py")
    for name in ["one", "two", "three"] {
      // SAFETY: the strings are lent for the call.
      #expect(unsafe symlink(source, source + "/code/" + name) == 0)
    }
    let plan = try plan()
    #expect(plan.sideFiles.carried == ["code/model.py", "tokenizer.json"])
  }
}
