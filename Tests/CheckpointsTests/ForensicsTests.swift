import Checkpoints
import Codecs
import TensorCore
import TestKit
import Testing

/// GPTQ-13, GPTQ-14: the version of zero points is decided from the numbers, whatever the config says.
@Suite struct ForensicsTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
  }

  private func checkpoint(
    _ packing: Packing, naming named: Int? = nil, layers: Int = 4, rows: Int = 64,
    columns: Int = 256, mean: Float = 0
  ) throws -> Checkpoint {
    var model = Model()
    var random = SplitMix64(seed: 0x51 + UInt64(packing.bits))
    for layer in 0..<layers {
      model.addRounded(
        "model.layers.\(layer).q_proj", rows: rows, columns: columns, packing, mean: mean,
        from: &random)
    }
    model.config = packing.config(naming: named)
    let path = folder.path("\(packing)-\(named ?? 0)-\(mean)")
    try model.write(to: path)
    return try Checkpoint(opening: path)
  }

  private func forensics(
    _ checkpoint: Checkpoint, _ depth: ZeroForensics.Depth = .thorough
  ) throws -> ZeroForensics {
    try #require(try ZeroForensics(checkpoint, depth, threads: 2))
  }

  static let packings = [2, 3, 4, 8].flatMap { bits in
    [1, 2].flatMap { version in
      [true, false].map { Packing(bits: bits, version: version, symmetric: $0) }
    }
  }

  @Test(arguments: packings) func versionShowsWhateverTheConfigSays(packing: Packing) throws {
    // 8-bit scales are small beside the weights, so more of them must be looked at.
    let columns = packing.bits == 8 ? 1024 : 256
    for named in [1, 2] {
      let found = try forensics(
        checkpoint(packing, naming: named, layers: packing.bits == 8 ? 16 : 4, columns: columns))
      let version: GPTQ.Version = packing.version == 1 ? .v1 : .v2
      #expect(found.verdict.version == version, "\(found.summary)")
      #expect(found.declared == (named == 1 ? .v1 : .v2))
      if packing.symmetric { #expect(found.verdict == .symmetric(version)) }
      #expect(found.finding?.failure.rule == (named == packing.version ? nil : "GPTQ-13"))
      #expect(found.finding.map { $0.severity == .warning } ?? true)
    }
  }

  @Test(arguments: [1, 2]) func glanceDecidesAsymmetricLayersByTheirZeros(version: Int) throws {
    let found = try forensics(checkpoint(Packing(version: version)), .glance)
    #expect(found.verdict.version == (version == 1 ? .v1 : .v2), "\(found.summary)")
    #expect(!found.comparesCodes)
  }

  /// Weights that are half a scale off for reasons of their own show no version.
  @Test func biasLeavesItUndecided() throws {
    let found = try forensics(checkpoint(Packing(), mean: 0.15))
    #expect(found.verdict == .undecided, "\(found.summary)")
    #expect(found.finding == nil)
  }

  @Test func fewGroupsLeaveItUndecided() throws {
    let found = try forensics(checkpoint(Packing(), layers: 1, columns: 128))
    #expect(found.verdict == .undecided, "\(found.summary)")
  }

  @Test func threadsChangeNothing() throws {
    let checkpoint = try checkpoint(Packing(bits: 3))
    let one = try #require(try ZeroForensics(checkpoint, .thorough, threads: 1))
    let many = try #require(try ZeroForensics(checkpoint, .thorough, threads: 7))
    #expect(one.json == many.json)
  }

  @Test func otherLayoutsHaveNoVersion() throws {
    #expect(try ZeroForensics(Checkpoint(opening: Samples.awq), .thorough) == nil)
  }

  @Test func mislabelledFileConvertsAsAssumed() throws {
    let packing = Packing(version: 2, symmetric: true)
    let right = try checkpoint(packing)
    let wrong = try checkpoint(packing, naming: 1)
    let failure = try #require(throws: Failure.self) { try Converted(wrong, to: "awq") }
    #expect(failure.rule == "GPTQ-13" && failure.kind == .malformed)
    let expected = try Converted(right, to: "awq")
    let assumed = try Converted(wrong, to: "awq") { $0.assumeVersion = .v2 }
    #expect(try assumed.files == expected.files)
    #expect(assumed.plan.warnings.map(\.severity) == [.note])
    let insisted = try Converted(wrong, to: "awq") { $0.assumeVersion = .v1 }
    #expect(insisted.plan.warnings.map(\.severity) == [.warning])
    #expect(try insisted.files != expected.files)
  }

  @Test func reshardingCarriesAMislabelledFileWithAWarning() throws {
    let wrong = try checkpoint(Packing(version: 2, symmetric: true), naming: 1)
    let plan = try ConversionPlan(wrong, ConversionOptions(target: .asIs))
    #expect(plan.warnings.map(\.failure.rule) == ["GPTQ-13"])
  }

  @Test func assumingAVersionOfOtherLayoutsIsRefused() throws {
    let failure = try #require(throws: Failure.self) {
      try Converted(Samples.awq, to: "gptq_v2") { $0.assumeVersion = .v1 }
    }
    #expect(failure.kind == .usage)
  }

  /// A run that was cut short must not be gone on with under another assumption.
  @Test func assumptionIsPartOfThePlan() throws {
    let wrong = try checkpoint(Packing(version: 2, symmetric: true), naming: 1)
    let plans = try [GPTQ.Version.v1, .v2].map { version in
      var options = try ConversionOptions(target: "gptq_v2")
      options.assumeVersion = version
      return try ConversionPlan(wrong, options).json
    }
    #expect(plans[0]["assume_version"] == "v1" && plans[1]["assume_version"] == "v2")
  }

  @Test func inspectionReadsAGlanceAndReportsIt() throws {
    let inspection = try Inspection(checkpoint(Packing(symmetric: true), naming: 2))
    #expect(inspection.findings.map(\.failure.rule) == ["GPTQ-13"])
    #expect(
      inspection.zeroPoints?.summary
        == "stored 7 everywhere, as version 1 symmetric; the config says version 2")
    #expect(inspection.json["zero_points"]?["version"] == "v1")
  }

  /// Every trimmed checkpoint of a peer, relabelled, is either seen through or undecided; symmetric
  /// ones are always seen through.
  @Test(arguments: try Fixtures.paths(in: "gptq/golden") + [Samples.demo])
  func relabelledGoldenIsNoticed(path: String) throws {
    guard FileSystem.kind(of: path + "/config.json") == .file else { return }
    let report = try Relabelled(path, in: folder)
    #expect(report.original.finding == nil, "\(report.original.summary)")
    // AR-4 sees through the label of an AutoRound file before it could mislead.
    guard report.isSymmetric || path == Samples.demo, !path.fileName.hasPrefix("autoround") else {
      return
    }
    #expect(report.relabelled.finding?.failure.rule == "GPTQ-13", "\(report.relabelled.summary)")
  }

  @Test func relabelledWholeGoldensAreNoticed() throws {
    guard let root = Fixtures.goldens else {
      print("skipped: relabelled goldens; NIBBLE_GOLDENS names no folder")
      return
    }
    var count = 0
    for name in try FileSystem.names(in: root) {
      let path = root + "/" + name
      guard FileSystem.kind(of: path + "/config.json") == .file,
        let checkpoint = try? Checkpoint(opening: path), checkpoint.config.method == "gptq",
        !checkpoint.layers.isEmpty, !name.hasPrefix("autoround")
      else { continue }
      let report = try Relabelled(path, in: folder)
      #expect(report.original.verdict.version == report.original.declared, "\(name)")
      #expect(report.relabelled.finding?.failure.rule == "GPTQ-13", "\(name)")
      print("\(name): \(report.original.summary)")
      count += 1
    }
    #expect(count >= 10)
  }
}

/// What a checkpoint shows of its version, and the same with its configs naming the other.
private struct Relabelled {
  let original: ZeroForensics
  let relabelled: ZeroForensics

  var isSymmetric: Bool {
    if case .symmetric = original.verdict { true } else { false }
  }

  init(_ path: String, in folder: TemporaryFolder) throws {
    let checkpoint = try Checkpoint(opening: path)
    original = try #require(try ZeroForensics(checkpoint, .thorough, threads: 2))
    let copy = folder.path("relabelled-" + path.fileName)
    try Files.copy(path, to: copy)
    let other = original.declared == .v1 ? "gptq_v2" : "gptq"
    for name in ["config.json", "quantize_config.json", "quantization_config.json"] {
      let file = copy + "/" + name
      guard FileSystem.kind(of: file) == .file else { continue }
      var object = try #require(
        try JSON(parsing: FileSystem.contents(of: file, limit: 1 << 24), at: file).object)
      var settings = object["quantization_config"]?.object ?? object
      settings["checkpoint_format"] = .string(other)
      if object["quantization_config"] != nil {
        object["quantization_config"] = .object(settings)
      } else {
        object = settings
      }
      try Files.write(JSON.object(object).text(), to: file)
    }
    relabelled = try #require(
      try ZeroForensics(Checkpoint(opening: copy), .thorough, threads: 2))
  }
}
