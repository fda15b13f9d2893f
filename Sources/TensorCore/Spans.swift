extension RawSpan {
  /// The bytes in `range`, borrowed for as long as these. Traps outside of the bounds.
  @_lifetime(copy self)
  public func part(_ range: Range<Int>) -> RawSpan {
    extracting(range)
  }

  /// A copy of the bytes.
  public var array: [UInt8] {
    // SAFETY: bytes of any memory are valid UInt8 values.
    unsafe withUnsafeBytes { unsafe Array($0) }
  }
}

extension MutableRawSpan {
  /// The bytes in `range`, lent exclusively. Traps outside of the bounds.
  @_lifetime(&self)
  public mutating func part(_ range: Range<Int>) -> MutableRawSpan {
    _mutatingExtracting(range)
  }
}
