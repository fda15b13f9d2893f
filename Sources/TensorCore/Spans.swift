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

/// Numbers of packed tensors, little-endian and at any alignment, by their index. Bounds are
/// checked; any bit pattern is a valid value.
extension RawSpan {
  public func uint16(at index: Int) -> UInt16 {
    // SAFETY: the offset is checked by the span and every bit pattern is a value.
    unsafe UInt16(littleEndian: unsafeLoadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
  }

  public func uint32(at index: Int) -> UInt32 {
    // SAFETY: as above.
    unsafe UInt32(littleEndian: unsafeLoadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
  }

  public func float32(at index: Int) -> Float {
    Float(bitPattern: uint32(at: index))
  }

  public func uint8(at index: Int) -> UInt8 {
    // SAFETY: as above.
    unsafe unsafeLoad(fromByteOffset: index, as: UInt8.self)
  }
}

extension MutableRawSpan {
  public mutating func set(_ value: UInt8, at index: Int) {
    storeBytes(of: value, toByteOffset: index, as: UInt8.self)
  }

  public mutating func set(_ value: UInt16, at index: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: index * 2, as: UInt16.self)
  }

  public mutating func set(_ value: UInt32, at index: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: index * 4, as: UInt32.self)
  }
}

extension MutableRawSpan {
  /// Overwrites these bytes with as many others. Traps where the counts differ.
  public mutating func copy(from other: RawSpan) {
    precondition(other.byteCount == byteCount)
    // SAFETY: both pointers are valid for the count and the borrows exclude overlap.
    unsafe withUnsafeMutableBytes { target in
      unsafe other.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
    }
  }
}
