public import Codecs
public import Kernels
internal import TensorCore

/// Which version of GPTQ the zero points of a checkpoint show, next to the one its config names
/// (GPTQ-13, GPTQ-14).
public struct ZeroForensics: Sendable {
  public enum Depth: Sendable {
    /// Zero points of a few layers, at most 1 MiB in all.
    case glance
    /// All zero points, and a sample of the codes of up to 32 layers that are not symmetric.
    case thorough
  }

  public enum Verdict: Sendable, Equatable {
    /// Every field of every layer looked at is the middle of this version.
    case symmetric(GPTQ.Version)
    /// This version fits and the other does not, by so many standard errors.
    case likely(GPTQ.Version, errors: Double)
    /// Symmetric layers of both versions, or symmetric ones of one and others of the other.
    case mixed
    case undecided

    public var version: GPTQ.Version? {
      switch self {
      case .symmetric(let version), .likely(let version, _): version
      case .mixed, .undecided: nil
      }
    }
  }

  /// The version the layers are read as, which is the config's word where there is one.
  public let declared: GPTQ.Version
  public let hasConfig: Bool
  public let verdict: Verdict
  /// GPTQ layers, and those of them that were looked at.
  public let layers: Int
  public let examined: Int
  /// Fields that were counted, and the smallest and largest of them.
  public let fields: Int
  public let stored: ClosedRange<Int>
  /// Whether codes were read as well.
  public let comparesCodes: Bool
  /// Layers in the other version than the config names, where layers differ in it.
  let strangers: [String]
  let path: String
  let test: VersionTest

  /// nil where no layer is in GPTQ. Layers that can't be opened are left out. Throws `io`.
  public init?(
    _ checkpoint: Checkpoint, _ depth: Depth, threads: Int = Processor.cores
  ) throws {
    let claims = checkpoint.layers.filter { $0.gptqVersion != nil }
    guard let declared = claims.first?.gptqVersion else { return nil }
    let found = try ForensicSample(checkpoint: checkpoint, claims: claims, depth: depth)
      .examine(threads: threads)
    let rest = found.filter { $0.symmetricVersion == nil }
    test = rest.versionTest
    comparesCodes = rest.contains { !$0.shift.isEmpty }
    let votes = Set(found.compactMap(\.symmetricVersion))
    let decision = test.decision
    if votes.count > 1 || (votes.first.map { $0 != decision ?? $0 } ?? false) {
      verdict = .mixed
    } else if let vote = votes.first {
      verdict = .symmetric(vote)
    } else if let decision {
      verdict = .likely(decision, errors: test.distance(as: decision.other) ?? 0)
    } else {
      verdict = .undecided
    }
    strangers = found.filter {
      ($0.symmetricVersion ?? decision ?? declared) != declared
    }.map(\.name)
    self.declared = declared
    hasConfig = checkpoint.config.scheme != nil
    path = checkpoint.path
    layers = claims.count
    examined = found.count
    fields = found.reduce(0) { $0 + $1.fields }
    stored = (found.map(\.lowest).min() ?? 0)...(found.map(\.highest).max() ?? 0)
  }

  /// What is wrong: the numbers show another version than the config names.
  public var finding: Finding? {
    contradiction.map { Finding(.warning, $0, names: verdict == .mixed ? strangers : []) }
  }

  var contradiction: Failure? {
    if verdict == .mixed {
      return Failure(
        .malformed, at: path, "layers store their zero points in different versions of GPTQ",
        expected: "\(declared), as the config says",
        found: "\(strangers.count) of \(examined) layers in \(declared.other)", rule: "GPTQ-14",
        remedy: "no config describes such a file", details: Array(strangers.prefix(20)))
    }
    guard let version = verdict.version, version != declared else { return nil }
    return Failure(
      .malformed, at: path, "the zero points are of another version than the config names",
      expected: "\(declared)", found: evidence, rule: "GPTQ-13",
      remedy: "convert --assume \(version.rawValue) reads them as they show, "
        + "--assume \(declared.rawValue) as the config says")
  }
}

extension [LayerForensics] {
  /// Codes against zero points where codes were read, otherwise zero points against the middle.
  fileprivate var versionTest: VersionTest {
    var test = VersionTest()
    let hasCodes = contains { !$0.shift.isEmpty }
    for layer in self {
      for version in GPTQ.Version.allCases {
        let means = hasCodes ? layer.shift[version] : layer.centre[version]
        guard let means else { continue }
        test.readings[version]?.add(strips: means.strips, rows: means.rows)
      }
    }
    return test
  }
}
