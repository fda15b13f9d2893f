internal import CKernels
internal import TensorCore

/// SHA-256 of bytes that arrive in pieces (FIPS 180-4). How they are cut never matters.
public struct SHA256: Sendable {
  /// Bytes of a digest.
  public static let byteCount = 32
  private static let blockBytes = 64

  private let level: Processor.Level
  private var state: [UInt32] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab,
    0x5be0_cd19,
  ]
  /// Bytes behind the last whole block: fewer than a block.
  private var rest: [UInt8] = []
  /// Bytes taken so far, modulo 2⁶¹.
  private var count: UInt64 = 0

  public init(on level: Processor.Level = .best) {
    self.level = level
  }

  /// Takes more bytes. O(bytes); copies at most two blocks of them.
  public mutating func update(_ bytes: RawSpan) {
    count &+= UInt64(bytes.byteCount)
    let missing = rest.isEmpty ? 0 : min(Self.blockBytes - rest.count, bytes.byteCount)
    rest += bytes.part(0..<missing).array
    if rest.count == Self.blockBytes {
      let block = rest
      compress(block.rawSpan)
      rest = []
    }
    guard missing < bytes.byteCount else { return }
    let whole = (bytes.byteCount - missing) / Self.blockBytes * Self.blockBytes
    compress(bytes.part(missing..<missing + whole))
    rest = bytes.part(missing + whole..<bytes.byteCount).array
  }

  /// The digest of all bytes taken so far: 32 bytes. More may be taken after.
  public func finish() -> [UInt8] {
    var last = self
    let bits = count &* 8
    let zeros = (2 * Self.blockBytes - 9 - rest.count) % Self.blockBytes
    let padding =
      [0x80] + [UInt8](repeating: 0, count: zeros)
      + (0..<8).map { UInt8(truncatingIfNeeded: bits >> (56 - 8 * UInt64($0))) }
    last.update(padding.rawSpan)
    return last.state.flatMap { word in
      (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * UInt32($0))) }
    }
  }

  /// The digest as 64 hexadecimal digits in lower case.
  public var hex: String { Self.hex(finish()) }

  /// The digest of some bytes as hexadecimal digits.
  public static func hex(of bytes: RawSpan, on level: Processor.Level = .best) -> String {
    var hash = SHA256(on: level)
    hash.update(bytes)
    return hash.hex
  }

  static func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  private mutating func compress(_ blocks: RawSpan) {
    let level = level
    // SAFETY: the state has eight words and the span holds whole blocks.
    unsafe state.withUnsafeMutableBufferPointer { state in
      unsafe lend(blocks) { address, count in
        unsafe level.kernels.pointee.sha256(state.baseAddress, address, count / Self.blockBytes)
      }
    }
  }
}
