/// How floats count as the same.
public enum FloatRule: Sendable {
  /// The same bit patterns.
  case sameBits
  /// The same bit patterns, but any NaN for a NaN.
  case sameBitsOrNaN
  /// Both finite and no further apart than the bound; NaN and infinity are never near anything.
  case within(Float)

  fileprivate func accepts(_ found: Float, _ expected: Float) -> Bool {
    switch self {
    case .sameBits: found.bitPattern == expected.bitPattern
    case .sameBitsOrNaN:
      found.bitPattern == expected.bitPattern || (found.isNaN && expected.isNaN)
    case .within(let bound):
      found.isFinite && expected.isFinite && (found - expected).magnitude <= bound
    }
  }
}

/// The first place where two arrays differ, in words; nil if they are the same.
public func mismatch<Element: Equatable>(_ found: [Element], _ expected: [Element]) -> String? {
  mismatch(found, expected, accepts: ==)
}

/// The first place where two arrays of floats differ by `rule`, in words; nil if nowhere.
public func mismatch(_ found: [Float], _ expected: [Float], by rule: FloatRule) -> String? {
  mismatch(found, expected, accepts: rule.accepts)
}

private func mismatch<Element>(
  _ found: [Element], _ expected: [Element], accepts: (Element, Element) -> Bool
) -> String? {
  guard found.count == expected.count else {
    return "count: expected \(expected.count), found \(found.count)"
  }
  for index in found.indices where !accepts(found[index], expected[index]) {
    return "[\(index)]: expected \(expected[index]), found \(found[index])"
  }
  return nil
}
