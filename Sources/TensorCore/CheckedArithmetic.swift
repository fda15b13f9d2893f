/// Arithmetic on numbers that came from a file: it returns nil where `+` and `*` would trap.
extension FixedWidthInteger {
  public func adding(_ other: Self) -> Self? {
    let (value, overflow) = addingReportingOverflow(other)
    return overflow ? nil : value
  }

  public func subtracting(_ other: Self) -> Self? {
    let (value, overflow) = subtractingReportingOverflow(other)
    return overflow ? nil : value
  }

  public func multiplied(by other: Self) -> Self? {
    let (value, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? nil : value
  }

  /// The smallest multiple of `alignment` that is not below this number; nil on overflow.
  public func roundedUp(toMultipleOf alignment: Self) -> Self? {
    guard alignment > 0 else { return nil }
    let remainder = self % alignment
    return remainder == 0 ? self : adding(alignment - remainder)
  }

  /// `ceil(self / divisor)` for a non-negative number and a positive divisor.
  public func dividedRoundingUp(by divisor: Self) -> Self {
    let quotient = self / divisor
    return self % divisor == 0 ? quotient : quotient + 1
  }
}
