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

extension Array where Element == Float {
  /// Lends the bytes of the elements, to be overwritten, for the length of a call.
  public mutating func withMutableBytes<Result>(
    _ body: (inout MutableRawSpan) throws -> Result
  ) rethrows -> Result {
    try unsafe withUnsafeMutableBytes { bytes in
      // SAFETY: the span does not outlive the call, and any bits are a Float.
      var span = unsafe bytes.mutableBytes
      return try body(&span)
    }
  }
}

extension Array where Element == Float {
  /// Lends the elements for the length of a call, so that loops over them cost no bounds of the array.
  public func withValues<Result>(_ body: (Span<Float>) throws -> Result) rethrows -> Result {
    try body(span)
  }
}
