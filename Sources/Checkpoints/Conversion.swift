internal import Codecs
internal import Containers
internal import Kernels
internal import TensorCore

/// What a finished conversion has shown about itself.
public struct ConversionReport: Sendable {
  public let path: String
  public let target: ConversionOptions.Target
  public let layers: [LayerComparison]
  /// What each layer needed to fit.
  public let changes: [FittedLayer]
  /// Layers that the target can't hold and that were written dense, and the type of their weights.
  public let rest: (names: [String], type: DType)?
  /// The error that rounding anew has added, for the layers it was asked for.
  public let errors: [RequantizationError]
  /// Tensors that were carried over, all of them compared byte for byte.
  public let carriedTensors: Int
  /// What has become of every tensor of the source.
  public internal(set) var fates: [SourceFate]
  /// Orders of inputs that were moved into the layers before them.
  public let folding: OrderFolding
  /// What was padded for tensor parallelism, if that was asked for.
  public let padding: RankPadding?
  /// What was quantized; nil where nothing was.
  public let quantized: QuantizedSummary?
  public let byteCount: Int
  /// When all was written and reading it back began.
  public let proofBegan: ContinuousClock.Instant
  /// The time that hashing for the manifest took, after the proof; nil where none was asked for.
  public internal(set) var manifestSeconds: Double?

  /// Whether every weight is what it was: nothing was rounded anew, or to a dense type.
  public var isLossless: Bool {
    if quantized != nil { return false }
    if case .dense(let type) = target { return type == .f32 && errors.isEmpty }
    return errors.isEmpty && (rest.map { $0.names.isEmpty || $0.type == .f32 } ?? true)
  }

  public var codes: Int { layers.reduce(0) { $0 + $1.codes } }
  public var scales: Int { layers.reduce(0) { $0 + $1.scales } }
  public var zeros: Int { layers.reduce(0) { $0 + $1.zeros } }
}

extension ConversionPlan {
  /// What a conversion is doing.
  public enum Stage: Sendable { case writing, proving }

  /// Called with work done and in all, from any thread.
  public typealias Progress = @Sendable (_ stage: Stage, _ done: Int, _ total: Int) -> Void

  /// Writes the output, opens it with the strict reader, compares every number with the source,
  /// and only then gives it its name. Goes on with complete files that a run of the same plan left.
  ///
  /// Throws `usage` where the output exists, `io`, or `differs` where the proof fails. No output
  /// folder is left then; after `io`, complete files stay in the folder marked unfinished.
  public func pour(to path: String, progress: Progress? = nil) throws -> ConversionReport {
    try Self.pour([(self, path)], progress: progress)[0]
  }

  /// Pours several plans of one source from one reading of it, each into its own folder.
  public static func pour(
    _ outputs: [(plan: ConversionPlan, path: String)], progress: Progress? = nil
  ) throws -> [ConversionReport] {
    var jobs: [Pour.Job] = []
    do {
      for (plan, path) in outputs {
        try OutputGuard(source: plan.source, output: path, force: plan.options.force).check()
        let folder = try OutputFolder(
          path: path, replacing: plan.options.force,
          fingerprint: plan.options.sync ? plan.fingerprint : nil)
        jobs.append(Pour.Job(plan: plan, folder: folder))
      }
      let threads = outputs.map(\.plan.options.threads).max() ?? 1
      try Pour(jobs: jobs, threads: threads) { progress?(.writing, $0, $1) }.run()
      let reports = try jobs.map { try $0.plan.complete($0.folder, progress: progress) }
      // All are proven before the first takes its name, so that a run that is cut short goes on with all.
      for job in jobs { try job.folder.finish(sync: job.plan.options.sync) }
      return reports
    } catch let failure as Failure where failure.kind == .io {
      throw giveUp(jobs, after: failure)
    } catch {
      for job in jobs { job.folder.discard() }
      throw error
    }
  }

  /// Writes what stands beside the tensors, and proves the whole.
  private func complete(
    _ folder: OutputFolder, progress: Progress?
  ) throws -> ConversionReport {
    try sideFiles.copy(to: folder, sync: options.sync)
    for config in configs { try folder.write(config.bytes, to: config.name, sync: options.sync) }
    var report = try prove(at: folder.staging, named: folder.path) {
      progress?(.proving, $0, $1)
    }
    if options.writesManifest { report.manifestSeconds = try writeManifest(into: folder) }
    return report
  }

  /// After a failure of the system complete files are worth keeping: the same command goes on.
  private static func giveUp(_ jobs: [Pour.Job], after failure: Failure) -> Failure {
    var failure = failure
    for job in jobs {
      if job.plan.options.sync && job.folder.hasCompleteFiles {
        failure.remedy =
          "run the same command again to go on; \(job.folder.staging) holds what is done"
      } else {
        job.folder.discard()
      }
    }
    return failure
  }

  /// Hashes the proven output and puts its manifest beside it; returns the seconds this took.
  private func writeManifest(into folder: OutputFolder) throws -> Double {
    let began = ContinuousClock.now
    let manifest = try Manifest(
      of: folder.staging, ShardedTensors(opening: folder.staging),
      source: Manifest.Source(of: source), options: options.json, threads: options.threads)
    try folder.write(manifest.bytes, to: Manifest.fileName, sync: options.sync)
    return (ContinuousClock.now - began) / .seconds(1)
  }

  /// What decides the bytes of the output: a run that was cut short may be gone on with only where
  /// this is the same.
  fileprivate var fingerprint: JSON {
    let files = source.tensors.files.map { file -> JSON in
      [
        "name": .string(file.name), "bytes": .integer(file.size),
        "modified": .integer(modificationTime(of: file)),
      ]
    }
    return [
      "unfinished": "the output of a conversion that was cut short; run it again to go on",
      "nibble": .string(Release.version), "source": .array(files), "output": json,
      "manifest": .bool(options.writesManifest),
    ]
  }

  /// Files of a container were written when it was.
  private func modificationTime(of file: ShardedTensors.File) -> Int {
    FileSystem.modificationTime(of: file.source.path)
      ?? FileSystem.modificationTime(of: source.tensors.folder) ?? 0
  }

  private func prove(
    at staging: String, named path: String, progress: @escaping @Sendable (Int, Int) -> Void
  ) throws -> ConversionReport {
    let began = ContinuousClock.now
    let output = try Checkpoint(unproven: staging)
    if let finding = output.findings.first(where: { $0.severity == .error }) {
      throw finding.failure
    }
    let carried = try proveCarried(in: output)
    let results: [LayerComparison]
    switch options.target {
    case .layout:
      results =
        try proveLayers(in: output, progress) + proveParts(of: rest, in: output) { _, _ in }
    case .dense: results = try proveParts(of: layers.map(\.source), in: output, progress)
    case .asIs: results = []
    case .quantized: results = try proveQuantized(in: output, progress)
    }
    let remade = try provePadded(in: output) + proveReordered(in: output)
    if let wrong = (results + remade).first(where: { !$0.isEqual }) {
      throw Failure(
        .differs, at: wrong.name, "the output does not hold the same numbers",
        found: wrong.summary)
    }
    let errors = try RequantizationError.measure(layers, threads: options.threads)
    return ConversionReport(
      path: path, target: options.target, layers: results, changes: layers,
      rest: options.restType.map { (rest.map(\.name), $0) }, errors: errors,
      carriedTensors: carried, fates: fates, folding: folding, padding: padding,
      quantized: quantized, byteCount: shards.totalSize, proofBegan: began)
  }

  /// Opens every layer of the output and compares it with the form that was meant for it; where rows or
  /// columns moved and nothing else, puts them back and compares with the layer as it is stored.
  private func proveLayers(
    in output: Checkpoint, _ progress: @escaping @Sendable (Int, Int) -> Void
  ) throws -> [LayerComparison] {
    let pairs = try layers.map { layer in
      guard let claim = output.layer(named: layer.source.name) else {
        throw Failure(.differs, at: layer.source.name, "the layer is missing from the output")
      }
      let written = try output.open(claim)
      guard layer.isMovedOnly, let original = folding.original(of: layer.source) else {
        return (a: layer.fitted, b: written)
      }
      return (a: original, b: folding.restored(written))
    }
    return try LayerComparer(pairs: pairs, threads: options.threads).run(progress: progress)
  }

  /// Dense weights against the layers they come from, a comparison for each tensor.
  private func proveParts(
    of layers: [any PackedLayer], in output: Checkpoint,
    _ progress: @escaping @Sendable (Int, Int) -> Void
  ) throws -> [LayerComparison] {
    let names = Set(layers.map(\.name))
    let parts = outputs.compactMap { output -> DenseProof.Part? in
      guard case .encode(let part, let layer) = output.recipe, names.contains(layer.name) else {
        return nil
      }
      return DenseProof.Part(name: layer.name, part: part)
    }
    return try DenseProof(parts: parts, output: output, threads: options.threads)
      .run(progress: progress)
  }

  private func provePadded(in output: Checkpoint) throws -> [LayerComparison] {
    let parts = outputs.compactMap { output -> DenseProof.Part? in
      guard case .pad(let part) = output.recipe else { return nil }
      return DenseProof.Part(name: part.info.name, part: part)
    }
    return try DenseProof(parts: parts, output: output, threads: options.threads).run { _, _ in }
  }

  /// Dense tensors whose outputs moved: the output's are put back and compared with the source.
  private func proveReordered(in output: Checkpoint) throws -> [LayerComparison] {
    let parts = try source.denseTensors.compactMap { tensor -> DenseProof.Part? in
      guard padding?.padded(tensor, rows: nil) == nil, let reordered = folding.reordered(tensor)
      else { return nil }
      guard let written = output.tensors[tensor.name] else {
        throw Failure(.differs, at: tensor.place, "the tensor is missing from the output")
      }
      return DenseProof.Part(name: tensor.name, part: try reordered.restoring(written).part())
    }
    return try DenseProof(parts: parts, output: source, threads: options.threads).run { _, _ in }
  }

  /// What was rounded is rounded once more and compared.
  private func proveQuantized(
    in output: Checkpoint, _ progress: @escaping @Sendable (Int, Int) -> Void
  ) throws -> [LayerComparison] {
    var parts: [DenseProof.Part] = []
    var beside: Set<String> = []
    for output in outputs {
      guard case .quantize(let part, _, let companion) = output.recipe else { continue }
      parts.append(DenseProof.Part(name: part.info.name, part: part, companion: companion))
      if let companion { beside.insert(companion.part.info.name) }
    }
    return try DenseProof(
      parts: parts.filter { !beside.contains($0.name) }, output: output, threads: options.threads,
      bandBytes: BandSize.matched
    ).run(progress: progress)
  }

  /// Tensors that are copied.
  private var carriedTensors: [Tensor] {
    outputs.compactMap { output in
      if case .copy(let tensor) = output.recipe { tensor } else { nil }
    }
  }

  private func proveCarried(in output: Checkpoint) throws -> Int {
    let dense = carriedTensors
    let pairs = try dense.map { tensor in
      guard let copy = output.tensors[tensor.name] else {
        throw Failure(.differs, at: tensor.place, "the tensor is missing from the output")
      }
      return (tensor, copy)
    }
    let differing = try TensorComparer(pairs: pairs, threads: options.threads).run()
    if let first = differing.first {
      throw Failure(.differs, at: dense[first].place, "the carried tensor has other bytes")
    }
    return dense.count
  }
}

extension LayerComparison {
  /// One line for people.
  public var summary: String {
    if let mismatch { return mismatch }
    if let values { return values.summary }
    return "\(differingCodes) of \(codes) codes, \(differingScales) of \(scales) scales and "
      + "\(differingZeros) of \(zeros) zeros differ"
  }
}
