internal import TensorCore

/// f32 numbers in memory of the host, at one address for as long as the buffer lives.
@safe
final class CPUBuffer: Buffer, @unchecked Sendable {
  private var block: AlignedBytes
  let numbers: Numbers

  override init(count: Int) {
    var block = AlignedBytes(count: count * 4)
    // SAFETY: the block stays where it is until this object, which owns it, goes away.
    numbers = block.withMutableBytes(count: count * 4) { bytes in
      unsafe bytes.withUnsafeMutableBytes { unsafe Numbers($0) }
    }
    self.block = block
    super.init(count: count)
  }
}

/// A run of f32 numbers that threads share. Slices are checked; who writes where is up to the tasks.
@safe
struct Numbers: @unchecked Sendable {
  let values: UnsafeMutableBufferPointer<Float>

  /// Numbers at an address that stays valid for as long as this is used.
  init(_ bytes: UnsafeMutableRawBufferPointer) {
    unsafe values = bytes.bindMemory(to: Float.self)
  }

  private init(_ values: UnsafeMutableBufferPointer<Float>) {
    unsafe self.values = values
  }

  var count: Int { unsafe values.count }

  /// `count` numbers from `start` on. Traps outside of the bounds.
  func slice(_ start: Int, _ count: Int) -> Numbers {
    precondition(start >= 0 && count >= 0 && count <= self.count - start)
    // SAFETY: within the bounds.
    return unsafe Numbers(
      UnsafeMutableBufferPointer(rebasing: values[start..<start + count]))
  }

  /// The address of numbers that are there: kernels are called with counts above 0 alone.
  var address: UnsafeMutablePointer<Float> {
    guard let address = unsafe values.baseAddress else { preconditionFailure("no numbers") }
    return unsafe address
  }

  func copy(from source: Numbers) {
    precondition(count == source.count)
    guard count > 0 else { return }
    // SAFETY: both hold `count` numbers.
    unsafe address.update(from: source.address, count: count)
  }

  /// Lends the numbers as bytes.
  func withBytes<Result>(_ body: (RawSpan) throws -> Result) rethrows -> Result {
    // SAFETY: valid for the call.
    return try unsafe body(UnsafeRawBufferPointer(values).bytes)
  }

  /// Lends the numbers as bytes to write.
  func withMutableBytes(_ body: (inout MutableRawSpan) throws -> Void) rethrows {
    // SAFETY: valid for the call; no other task writes these numbers at the time.
    var bytes = unsafe UnsafeMutableRawBufferPointer(values).mutableBytes
    try body(&bytes)
  }
}
