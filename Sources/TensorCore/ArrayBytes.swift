extension Array where Element == UInt8 {
  /// The bytes of the elements, borrowed from this array.
  public var rawSpan: RawSpan {
    @_lifetime(borrow self)
    get {
      let elements = span
      // SAFETY: an element has no padding.
      return unsafe _overrideLifetime(elements.bytes, borrowing: self)
    }
  }
}

extension Array where Element == Float {
  /// The bytes of the elements, borrowed from this array.
  public var rawSpan: RawSpan {
    @_lifetime(borrow self)
    get {
      let elements = span
      // SAFETY: an element has no padding.
      return unsafe _overrideLifetime(elements.bytes, borrowing: self)
    }
  }
}
