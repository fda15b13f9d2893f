import ArgumentParser
import Checkpoints

struct Diff: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say whether two checkpoints hold the same numbers, layer by layer.",
    discussion: """
      Layouts may differ. Layers of one form are compared by their codes, scales and zero points, \
      those of different forms, packed or dense, by the values of their weights. Exit code 3 when \
      they differ.
      """)

  @Argument(help: "A checkpoint.")
  var first: String

  @Argument(help: "Another.")
  var second: String

  @Option(help: "Steps of the coarser type by which values may differ that are compared as such.")
  var toleranceUlps = 0

  @Option(help: "What full version 1 zero points of an unknown writer mean: word, mask or carry.")
  var assumeZeros: ZeroRule?

  @Option(help: "Read GPTQ zero points of the first as v1 or v2, whatever its config says.")
  var assumeFirst: GPTQ.Version?

  @Option(help: "The same for the second.")
  var assumeSecond: GPTQ.Version?

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard threads > 0 else { throw ValidationError("--threads takes a positive number") }
    guard toleranceUlps >= 0 else {
      throw ValidationError("--tolerance-ulps takes a number from 0 on")
    }
  }

  func run() throws {
    var options = CheckpointComparison.Options()
    options.assumeZeros = assumeZeros
    options.firstVersion = assumeFirst
    options.secondVersion = assumeSecond
    options.toleranceULPs = toleranceUlps
    options.threads = threads
    let line = ProgressLine()
    let result = try CheckpointComparison(
      Checkpoint(opening: first), Checkpoint(opening: second), options
    ) { line.update("comparing", $0, $1) }
    Terminal.print(json ? result.json.text(indent: 2) : text(result))
    if !result.isEqual { throw Exit.Silently(kind: .differs) }
  }

  private func text(_ result: CheckpointComparison) -> String {
    var lines = result.findings.map { "\($0.severity.rawValue): \($0.failure)" }
    lines += (result.layers + result.tensors).compactMap(Self.line)
    let shown = Set(result.tensors.map(\.name))
    lines += result.differingTensors.filter { !shown.contains($0) }.map {
      "differs: \($0.escapedForDisplay)"
    }
    lines += result.onlyInFirst.map { "only in the first: \($0.escapedForDisplay)" }
    lines += result.onlyInSecond.map { "only in the second: \($0.escapedForDisplay)" }
    let codes = result.layers.reduce(0) { $0 + $1.codes }
    let values = (result.layers + result.tensors).reduce(0) { $0 + ($1.values?.values ?? 0) }
    let isRounded = (result.layers + result.tensors).contains { ($0.values?.differing ?? 0) > 0 }
    let same = isRounded ? "same numbers up to \(toleranceUlps) ULP" : "same numbers"
    lines.append(
      (result.isEqual ? same : "different numbers")
        + ": \(Words.plural(result.layers.count, "layer")) with \(codes) codes and "
        + "\(Words.plural(result.denseTensors, "dense tensor")) compared"
        + (values > 0 ? ", \(values) weights by value" : ""))
    return lines.joined(separator: "\n")
  }

  /// What is worth a line: what differs, and what was compared by value.
  private static func line(_ layer: LayerComparison) -> String? {
    guard !layer.isEqual || layer.values != nil else { return nil }
    let verdict =
      layer.isEqual ? "same values" : layer.mismatch == nil ? "differs" : "not comparable"
    return "\(verdict): \(layer.name.escapedForDisplay): \(layer.summary)"
  }
}
