// How spans reach C: their addresses are lent for the length of one call.

/// Calls `body` with the addresses of a source and a target, or not at all if either is empty.
func lend(
  _ source: RawSpan, _ target: inout MutableRawSpan,
  _ body: (UnsafeRawPointer, UnsafeMutableRawPointer) -> Void
) {
  // SAFETY: the addresses are valid for the byte counts of the spans, which callers have checked
  // against what the kernel reads and writes; the target is borrowed exclusively.
  unsafe source.withUnsafeBytes { from in
    unsafe target.withUnsafeMutableBytes { to in
      guard let from = from.baseAddress, let to = to.baseAddress else { return }
      unsafe body(from, to)
    }
  }
}

/// Calls `body` with the address and byte count of a source, or not at all if it is empty.
func lend(_ source: RawSpan, _ body: (UnsafeRawPointer, Int) -> Void) {
  // SAFETY: as above.
  unsafe source.withUnsafeBytes { from in
    guard let address = from.baseAddress else { return }
    unsafe body(address, from.count)
  }
}

/// Calls `body` with the addresses of two sources and a target, or not at all if one is empty.
func lend(
  _ first: RawSpan, _ second: RawSpan, _ target: inout MutableRawSpan,
  _ body: (UnsafeRawPointer, UnsafeRawPointer, UnsafeMutableRawPointer) -> Void
) {
  // SAFETY: as above.
  unsafe second.withUnsafeBytes { second in
    guard let second = second.baseAddress else { return }
    unsafe lend(first, &target) { unsafe body($0, second, $1) }
  }
}

/// Calls `body` with the addresses of three sources and a target, or not at all if one is empty.
func lend(
  _ first: RawSpan, _ second: RawSpan, _ third: RawSpan, _ target: inout MutableRawSpan,
  _ body: (UnsafeRawPointer, UnsafeRawPointer, UnsafeRawPointer, UnsafeMutableRawPointer) -> Void
) {
  // SAFETY: as above.
  unsafe second.withUnsafeBytes { second in
    unsafe third.withUnsafeBytes { third in
      guard let second = second.baseAddress, let third = third.baseAddress else { return }
      unsafe lend(first, &target) { unsafe body($0, second, third, $1) }
    }
  }
}
