/// What one scalar of a name must be.
enum ScalarTest: Sendable {
  case literal(Unicode.Scalar)
  case anything
  case set(ScalarSet)

  func holds(_ scalar: Unicode.Scalar) -> Bool {
    switch self {
    case .literal(let wanted): scalar == wanted
    case .anything: true
    case .set(let set): set.contains(scalar)
    }
  }
}

/// A set of scalars, as `[a-z\d]` spells it.
struct ScalarSet: Sendable {
  /// Sorted, without overlap.
  private let ranges: [ClosedRange<Unicode.Scalar>]
  private let kinds: [ScalarKind]
  private let isNegated: Bool
  private let ignoresCase: Bool

  /// O(n log n) in the ranges.
  init(
    _ ranges: [ClosedRange<Unicode.Scalar>], kinds: [ScalarKind] = [], isNegated: Bool = false,
    ignoresCase: Bool = false
  ) {
    self.ranges = Self.merged(ranges)
    self.kinds = kinds.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    self.isNegated = isNegated
    self.ignoresCase = ignoresCase
  }

  /// O(log n) in the ranges.
  func contains(_ scalar: Unicode.Scalar) -> Bool {
    let isIn = holds(scalar) || ignoresCase && scalar.otherCases.contains(where: holds)
    return isIn != isNegated
  }

  private func holds(_ scalar: Unicode.Scalar) -> Bool {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < scalar { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].contains(scalar)
      || kinds.contains { $0.holds(scalar) }
  }

  private static func merged(
    _ ranges: [ClosedRange<Unicode.Scalar>]
  ) -> [ClosedRange<Unicode.Scalar>] {
    var merged: [ClosedRange<Unicode.Scalar>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = merged.last, range.lowerBound <= last.upperBound {
        merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        merged.append(range)
      }
    }
    return merged
  }
}

/// The scalars that `\d`, `\w`, `\s` stand for, or with a capital letter all others.
struct ScalarKind: Sendable, Equatable {
  enum Letter: Sendable { case digit, word, space }

  private let letter: Letter
  private let isNegated: Bool

  /// The kind that an escape names; nil for every other letter.
  init?(escape: Unicode.Scalar) {
    switch escape {
    case "d", "D": letter = .digit
    case "w", "W": letter = .word
    case "s", "S": letter = .space
    default: return nil
    }
    isNegated = escape.value < 0x60
  }

  func holds(_ scalar: Unicode.Scalar) -> Bool {
    let isOne =
      switch letter {
      case .digit: scalar.properties.generalCategory == .decimalNumber
      case .word: scalar.isPatternWord
      case .space: scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
      }
    return isOne != isNegated
  }
}

extension Unicode.Scalar {
  /// Whether `\w` takes the scalar: letters and numbers of any script, and `_`.
  var isPatternWord: Bool {
    if isASCII { return isASCIIWord }
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      return true
    default: return properties.numericType != nil
    }
  }

  private var isASCIIWord: Bool {
    switch self {
    case "a"..."z", "A"..."Z", "0"..."9", "_": true
    default: false
    }
  }

  /// The scalars that differ from this one only in case, where each is a single scalar.
  fileprivate var otherCases: [Unicode.Scalar] {
    let upper = properties.uppercaseMapping.onlyScalar
    let forms = [properties.lowercaseMapping.onlyScalar, upper]
    return (forms + [upper?.properties.lowercaseMapping.onlyScalar]).compactMap(\.self)
  }
}

extension String {
  fileprivate var onlyScalar: Unicode.Scalar? {
    unicodeScalars.count == 1 ? unicodeScalars.first : nil
  }
}
