internal import CKernels
internal import TensorCore

/// XXH64 with seed 0, a fast checksum against accidents, not against intent (xxHash specification).
public enum XXH64 {
  /// The checksum of the bytes. O(bytes).
  public static func hash(
    _ bytes: RawSpan, seed: UInt64 = 0, on level: Processor.Level = .best
  ) -> UInt64 {
    var result: UInt64?
    // SAFETY: the kernel reads `count` bytes.
    unsafe lend(bytes) { address, count in
      unsafe result = level.kernels.pointee.xxh64(address, count, seed)
    }
    if let result { return result }
    // Of no bytes; the address is not read.
    var nothing: UInt8 = 0
    return unsafe level.kernels.pointee.xxh64(&nothing, 0, seed)
  }
}
