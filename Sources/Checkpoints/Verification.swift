public import Codecs
internal import Containers
public import Kernels
internal import Synchronization
public import TensorCore

/// Whether one checkpoint obeys the rules of its formats: every header, every config, every scale,
/// zero point and group index, no NaN or infinity among its numbers, and every digest of a manifest
/// that lies beside it.
public struct Verification: Sendable {
  /// What was looked at, in words, and how much of it.
  public let checks: [(what: String, count: Int)]
  /// Broken rules and warnings, gravest first.
  public let findings: [Finding]
  /// The checkpoint as it was opened.
  public let checkpoint: Checkpoint

  /// What the zero points of GPTQ layers show; nil where there are none.
  public let zeroPoints: ZeroForensics?

  /// The kind of the gravest broken rule; nil where all is in order.
  public var failure: Failure.Kind? {
    findings.first { $0.severity == .error }?.failure.kind
  }

  public var isClean: Bool { !findings.contains { $0.severity == .error } }

  /// Opens the checkpoint leniently, so that all broken rules are found at once, and reads all of
  /// it but most of the codes, and all of these too where there is a manifest. Throws where nothing
  /// can be read at all.
  public init(of path: String, threads: Int = Processor.cores) throws {
    let checkpoint = try Checkpoint(opening: path, strict: false)
    let scan = DataScan(checkpoint: checkpoint, threads: threads)
    let found = try scan.run()
    let manifest = try Self.manifest(of: checkpoint, threads: threads)
    self.checkpoint = checkpoint
    zeroPoints = try ZeroForensics(checkpoint, .thorough, threads: threads)
    let version = [zeroPoints?.finding].compactMap(\.self)
    findings = (checkpoint.findings + found + version + manifest.findings).gravestFirst
    let read = [
      ("files whose every byte is accounted for", checkpoint.tensors.files.count),
      ("tensors whose bytes fit dtype and shape", checkpoint.tensors.tensors.count),
      ("packed layers whose parts fit each other and the config", checkpoint.layers.count),
      ("scales that are finite", checkpoint.layers.reduce(0) { $0 + $1.rows * $1.groups }),
      ("dense numbers that are finite", scan.denseNumbers),
    ]
    checks = read + (manifest.count.map { [("digests of the manifest", $0)] } ?? [])
  }

  /// What the manifest beside the checkpoint says of it, and how many digests that were; a manifest
  /// that can't be read is a finding.
  private static func manifest(
    of checkpoint: Checkpoint, threads: Int
  ) throws -> (findings: [Finding], count: Int?) {
    do {
      guard let check = try ManifestCheck(of: checkpoint, threads: threads) else {
        return ([], nil)
      }
      return (check.findings, check.count)
    } catch let failure as Failure where failure.kind != .io {
      return ([Finding(.error, failure)], nil)
    }
  }
}

/// Reads what the rules on values speak of.
private struct DataScan {
  let checkpoint: Checkpoint
  let threads: Int

  private var floatTensors: [Tensor] {
    checkpoint.denseTensors.filter { FloatConversion.readable.contains($0.dtype) }
  }

  var denseNumbers: Int { floatTensors.reduce(0) { $0 + $1.shape.count } }

  func run() throws -> [Finding] {
    let layers = checkpoint.layers
    let tensors = floatTensors
    let found = Gathered<[Finding]>(count: layers.count + tensors.count)
    try parallelBands(layers.count + tensors.count, threads: threads) { index, workspace in
      let findings =
        index < layers.count
        ? try check(layers[index], workspace)
        : try check(tensors[index - layers.count])
      found.set(findings, at: index)
    }
    return found.values.flatMap(\.self)
  }

  private func check(_ claim: LayerClaim, _ workspace: Workspace) throws -> [Finding] {
    let layer: any PackedLayer
    do {
      layer = try checkpoint.open(claim)
    } catch let failure as Failure where failure.kind == .malformed {
      return [Finding(.error, failure, names: [claim.name])]
    }
    return try [scales(of: layer, workspace), zeros(of: layer, workspace), groups(of: layer)]
      .compactMap(\.self)
  }

  private func scales(of layer: any PackedLayer, _ workspace: Workspace) throws -> Finding? {
    var values = FloatStatistics()
    let step = max(1, (1 << 20) / layer.form.rows)
    for start in stride(from: 0, to: layer.form.groups, by: step) {
      let region = Region(
        rows: 0..<layer.form.rows, columns: start..<min(start + step, layer.form.groups))
      try workspace.lend(region.count * 4) { floats in
        try layer.readFloatScales(region, .inputMajor, into: &floats, workspace)
        values.merge(FloatStatistics(floats.bytes))
      }
    }
    guard values.finiteCount < values.count else { return nil }
    let failure = Failure(
      .malformed, at: layer.name, "scales", expected: "finite numbers",
      found: "\(values.nanCount) NaN and \(values.infiniteCount) infinite",
      rule: Codecs.named(layer.claim.layout)?.scaleRule)
    return Finding(.error, failure, names: [layer.name])
  }

  private func zeros(of layer: any PackedLayer, _ workspace: Workspace) throws -> Finding? {
    let count = try layer.countAmbiguousOffsets(workspace)
    guard count > 0 else { return nil }
    let failure = Failure(
      .malformed, at: layer.name, "zero-point fields are full and the config names no known writer",
      expected: "fields below the maximum", found: "\(count)", rule: "GPTQ-12",
      remedy: "convert asks for --assume-zeros")
    return Finding(.warning, failure, names: [layer.name])
  }

  /// GPTQ-7: act-order moves columns between groups, it does not change how many each has.
  private func groups(of layer: any PackedLayer) -> Finding? {
    guard case .map(let groups, let count) = layer.form.grouping else { return nil }
    var sizes = [Int](repeating: 0, count: count)
    for group in groups { sizes[Int(group)] += 1 }
    guard let odd = sizes.dropLast().first(where: { $0 != layer.claim.groupSize }) else {
      return nil
    }
    let failure = Failure(
      .malformed, at: layer.name, "groups of the group index",
      expected: "\(layer.claim.groupSize) columns in each", found: "\(odd)", rule: "GPTQ-7")
    return Finding(.warning, failure, names: [layer.name])
  }

  private func check(_ tensor: Tensor) throws -> [Finding] {
    guard let values = try TensorReport(tensor).values, values.finiteCount < values.count else {
      return []
    }
    let failure = Failure(
      .malformed, at: tensor.place, "values", expected: "finite numbers",
      found: "\(values.nanCount) NaN and \(values.infiniteCount) infinite")
    return [Finding(.warning, failure, names: [tensor.name])]
  }
}

extension Verification {
  public var json: JSON {
    [
      "clean": .bool(isClean),
      "checks": .array(checks.map { ["what": .string($0.what), "count": .integer($0.count)] }),
      "zero_points": zeroPoints?.json ?? .null,
      "findings": .array(findings.map(\.json)),
    ]
  }
}
