internal import Codecs
internal import Containers
internal import Kernels
internal import TensorCore

/// What a finished conversion has shown about itself.
public struct ConversionReport: Sendable {
  public let path: String
  public let layers: [LayerComparison]
  /// Tensors that were carried over, all of them compared byte for byte.
  public let carriedTensors: Int
  public let byteCount: Int
  /// When all was written and reading it back began.
  public let proofBegan: ContinuousClock.Instant

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
  /// and only then gives it its name.
  ///
  /// Throws `usage` where the output exists, `io`, or `differs` where the proof fails; whatever it
  /// throws, no output folder is left.
  public func pour(to path: String, progress: Progress? = nil) throws -> ConversionReport {
    try OutputGuard(source: source, output: path, force: options.force).check()
    let folder = try OutputFolder(path: path, replacing: options.force)
    do {
      try Pour(plan: self, folder: folder) { progress?(.writing, $0, $1) }.run()
      try sideFiles.copy(to: folder, sync: options.sync)
      for config in configs { try folder.write(config.bytes, to: config.name, sync: options.sync) }
      let report = try prove(at: folder.staging, named: path) { progress?(.proving, $0, $1) }
      try folder.finish(sync: options.sync)
      return report
    } catch {
      folder.discard()
      throw error
    }
  }

  private func prove(
    at staging: String, named path: String, progress: @escaping @Sendable (Int, Int) -> Void
  ) throws -> ConversionReport {
    let began = ContinuousClock.now
    let output = try Checkpoint(opening: staging)
    if let finding = output.findings.first(where: { $0.severity == .error }) {
      throw finding.failure
    }
    let pairs = try layers.map { layer in
      guard let claim = output.layer(named: layer.name) else {
        throw Failure(.differs, at: layer.name, "the layer is missing from the output")
      }
      return (a: layer, b: try output.open(claim))
    }
    let results = try LayerComparer(pairs: pairs, threads: options.threads).run(
      progress: progress)
    if let wrong = results.first(where: { !$0.isEqual }) {
      throw Failure(
        .differs, at: wrong.name, "the output does not hold the same numbers",
        found: wrong.summary)
    }
    let carried = try proveCarried(in: output)
    return ConversionReport(
      path: path, layers: results, carriedTensors: carried, byteCount: shards.totalSize,
      proofBegan: began)
  }

  private func proveCarried(in output: Checkpoint) throws -> Int {
    let dense = source.denseTensors
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
    return "\(differingCodes) of \(codes) codes, \(differingScales) of \(scales) scales and "
      + "\(differingZeros) of \(zeros) zeros differ"
  }
}
