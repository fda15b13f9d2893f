internal import Codecs
public import TensorCore

extension ZeroForensics {
  /// What the numbers show and what the config says, in one line.
  public var summary: String {
    let part = examined < layers ? " (\(examined) of \(layers) layers)" : ""
    let word = hasConfig ? "the config says \(declared)" : "no config says, read as \(declared)"
    return "\(evidence)\(part); \(word)"
  }

  /// What the numbers show, in words.
  var evidence: String {
    switch verdict {
    case .symmetric(let version):
      return stored.count == 1
        ? "stored \(stored.lowerBound) everywhere, as \(version) symmetric"
        : "stored the middle of \(version) in all symmetric layers"
    case .likely(let version, let errors):
      return "\(range), as \(version): \(quantity) is \(Self.short(test.mean(as: version))), "
        + "as \(version.other) \(Self.short(test.mean(as: version.other))), "
        + "\(Int(min(errors, 1e6))) standard errors from 0"
    case .mixed: return "\(range), some layers as version 1 and some as version 2"
    case .undecided: return "\(range), which shows no version"
    }
  }

  private var range: String {
    stored.count == 1
      ? "stored \(stored.lowerBound) everywhere"
      : "stored \(stored.lowerBound) to \(stored.upperBound)"
  }

  private var quantity: String {
    comparesCodes ? "the mean of code − zero" : "the middle less the mean zero"
  }

  /// Two decimals.
  private static func short(_ value: Double) -> String {
    let hundredths = Int((min(value.magnitude, 1e6) * 100).rounded())
    let fraction = hundredths % 100
    let sign = value < 0 && hundredths > 0 ? "−" : ""
    return "\(sign)\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
  }

  public var json: JSON {
    let decided: String
    let errors: JSON
    switch verdict {
    case .symmetric: (decided, errors) = ("symmetric", .null)
    case .likely(_, let distance): (decided, errors) = ("likely", .real(distance))
    case .mixed: (decided, errors) = ("mixed", .null)
    case .undecided: (decided, errors) = ("undecided", .null)
    }
    return [
      "declared": .string(declared.rawValue), "verdict": .string(decided),
      "version": verdict.version.map { .string($0.rawValue) } ?? .null,
      "standard_errors": errors, "layers": .integer(layers), "examined": .integer(examined),
      "fields": .integer(fields), "lowest": .integer(stored.lowerBound),
      "highest": .integer(stored.upperBound), "compares_codes": .bool(comparesCodes),
    ]
  }
}
