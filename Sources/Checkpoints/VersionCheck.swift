import Codecs
import TensorCore

/// GPTQ-13, GPTQ-14: zero points of another version than the config names are converted only by
/// the user's word.
struct VersionCheck {
  let source: Checkpoint
  let options: ConversionOptions

  /// Findings that do not stop the conversion. Throws `malformed` where the numbers contradict the
  /// config and nothing is assumed, `usage` where a version is assumed of no GPTQ layer.
  func run() throws -> [Finding] {
    guard let evidence = try ZeroForensics(source, .thorough, threads: options.threads) else {
      guard let version = options.assumeVersion else { return [] }
      throw Failure(
        .usage, at: source.path, "--assume \(version.rawValue) speaks of GPTQ zero points",
        expected: "GPTQ layers", found: "none")
    }
    // Files that are only cut anew keep their config and their numbers, right or wrong.
    if case .asIs = options.target { return [evidence.finding].compactMap(\.self) }
    guard let version = options.assumeVersion else {
      if let contradiction = evidence.contradiction { throw contradiction }
      return []
    }
    return [assumption(version, evidence)].compactMap(\.self)
  }

  /// A warning where the assumption goes against the numbers, a note where against the config.
  private func assumption(_ version: GPTQ.Version, _ evidence: ZeroForensics) -> Finding? {
    let isAgainstNumbers =
      evidence.verdict == .mixed || evidence.verdict.version.map { $0 != version } ?? false
    guard isAgainstNumbers || version != evidence.declared else { return nil }
    let failure = Failure(
      .malformed, at: source.path, "zero points are read as \(version), as assumed",
      found: evidence.summary, rule: "GPTQ-13")
    return Finding(isAgainstNumbers ? .warning : .note, failure)
  }
}
