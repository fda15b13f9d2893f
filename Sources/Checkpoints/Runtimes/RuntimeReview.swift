public import Codecs
public import Kernels
public import TensorCore

/// Whether runtimes will load a checkpoint, by their rules (`Formats/runtimes.md`).
public struct RuntimeReview: Sendable {
  /// What one runtime makes of the checkpoint.
  public struct Verdict: Sendable {
    public enum Outcome: String, Sendable {
      case accepted
      case acceptedWithWarnings = "accepted with warnings"
      case refused
      /// The config declares a layout that is not read, so no rule on layers could be asked.
      case notJudged = "not judged"
    }

    public let runtime: String
    /// Rules that are broken, gravest first.
    public let findings: [Finding]
    /// The declared method of which no layer is read; nil where there is something to judge.
    public let unread: String?

    public var outcome: Outcome {
      guard let gravest = findings.first else { return unread == nil ? .accepted : .notJudged }
      return gravest.severity == .error ? .refused : .acceptedWithWarnings
    }
  }

  /// The numbers of tensor-parallel ranks that were asked about.
  public let ranks: [Int]
  public let verdicts: [Verdict]

  /// `unsupported` where a runtime refuses.
  public var failure: Failure.Kind? {
    verdicts.contains { $0.outcome == .refused } ? .unsupported : nil
  }

  /// Asks every rule once, or once for each of `ranks`. Reads zero points and group indices, no
  /// codes. Throws `io`.
  public init(
    of checkpoint: Checkpoint, for runtimes: [Runtime], ranks: [Int] = [1],
    threads: Int = Processor.cores
  ) throws {
    let model = try LoadedModel(checkpoint, threads: threads)
    let unread = checkpoint.layers.isEmpty ? checkpoint.config.method : nil
    self.ranks = ranks
    verdicts = runtimes.map { runtime in
      Verdict(
        runtime: runtime.name, findings: runtime.findings(in: model, ranks: ranks), unread: unread)
    }
  }
}

extension Runtime {
  /// What breaks the runtime's rules, gravest first.
  func findings(in model: LoadedModel, ranks: [Int]) -> [Finding] {
    let found = rules.flatMap { rule in
      (rule.dependsOnRanks ? ranks : [1]).compactMap {
        rule.finding(in: model, ranks: $0, runtime: name)
      }
    }
    return found.enumerated().sorted {
      ($1.element.severity, $0.offset) < ($0.element.severity, $1.offset)
    }.map(\.element)
  }
}

extension RuntimeReview {
  public var json: JSON {
    .array(
      verdicts.map { verdict in
        [
          "runtime": .string(verdict.runtime), "verdict": .string(verdict.outcome.rawValue),
          "tp": .array(ranks.map { .integer($0) }),
          "unread": verdict.unread.map(JSON.string) ?? .null,
          "findings": .array(verdict.findings.map(\.json)),
        ]
      })
  }
}
