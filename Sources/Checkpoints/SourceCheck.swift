import Codecs
import Kernels
import TensorCore

/// Whether a source may be converted at all.
struct SourceCheck {
  let source: Checkpoint
  let options: ConversionOptions

  /// Throws the one error there is, or lists them.
  func run() throws {
    // Files that are only cut anew keep whatever they hold.
    if case .asIs = options.target { return }
    if case .quantized = options.target { try Self.checkDense(source) }
    let errors = source.findings.filter { $0.severity == .error }
    if let only = errors.first, errors.count == 1 || source.layers.isEmpty { throw only.failure }
    guard errors.isEmpty else {
      throw Failure(
        .malformed, at: source.path, "the source is not in order",
        found: "\(errors.count) errors",
        remedy: "nothing was written; nibble verify lists them all",
        details: errors.prefix(20).map(\.failure.description))
    }
    // Layers that are not decoded would be carried as if they were dense.
    if let foreign = source.findings.first(where: { $0.failure.rule?.hasPrefix("REC-") == true }) {
      throw foreign.failure
    }
    if case .quantized = options.target { return }
    guard !source.layers.isEmpty else {
      throw Failure(
        .unsupported, at: source.path, "there is no packed layer to convert",
        expected: "layers in \(Codecs.all.map(\.name).joined(separator: ", "))",
        found: source.config.method ?? "dense tensors",
        details: source.findings.map(\.failure.description))
    }
  }
}

extension SourceCheck {
  /// Throws `unsupported` where the weights have been quantized before.
  static func checkDense(_ source: Checkpoint) throws {
    let foreign = source.findings.first { $0.failure.rule?.hasPrefix("REC-") == true }
    guard source.layers.isEmpty, source.config.method == nil, foreign == nil else {
      throw Failure(
        .unsupported, at: source.path, "the source is quantized already",
        expected: "dense weights",
        found: source.config.method ?? source.layers.first?.layout ?? "packed tensors",
        rule: "BNB-50", remedy: "nibble dequantize writes dense weights")
    }
  }
}

/// GPTQ-12: full zero-point fields of an unknown writer mean one of three things.
struct ZeroCheck {
  let source: Checkpoint
  let threads: Int

  func run(on layers: [any PackedLayer]) throws {
    let counts = Gathered<Int>(count: layers.count)
    try parallelBands(layers.count, threads: threads) { index, workspace in
      counts.set(try layers[index].countAmbiguousOffsets(workspace), at: index)
    }
    let ambiguous = zip(layers, counts.values).filter { $0.1 > 0 }
    guard !ambiguous.isEmpty else { return }
    let fields = ambiguous.reduce(0) { $0 + $1.1 }
    throw Failure(
      .malformed, at: source.path,
      "version 1 zero points are ambiguous: \(fields) fields are full and the config names no "
        + "known writer",
      expected: "fields below the maximum, or --assume-zeros word|mask|carry",
      found: "\(ambiguous.count) layers with full fields", rule: "GPTQ-12",
      details: ambiguous.map { "\($0.0.name): \($0.1) full fields" })
  }
}
