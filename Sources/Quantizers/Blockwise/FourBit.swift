internal import Kernels
public import TensorCore

/// Blockwise quantization to codes of four bits as bitsandbytes does it: each block of neighbours in
/// the flat weight is divided by its largest magnitude, and each number takes the code of the
/// nearest entry of a table. Source: QLoRA, arXiv 2305.14314; `csrc/kernels.cu` and
/// `backends/default/ops.py` of bitsandbytes 0.50.
public struct FourBit: Sendable {
  /// The table that codes stand for.
  public enum Kind: String, Sendable, CaseIterable {
    case nf4, fp4

    /// 16 numbers by code.
    public var table: [Float] { self == .nf4 ? CodeTables.nf4 : CodeTables.fp4 }
  }

  public static let blockSizes = [32, 64, 128, 256, 512, 1024, 2048, 4096]

  public let kind: Kind
  public let blockSize: Int
  public let rules: PeerRules
  let rule: NibbleRule

  /// Throws `usage` for a block size that is not one of `blockSizes`.
  public init(_ kind: Kind, blockSize: Int = 64, rules: PeerRules = .cuda) throws(Failure) {
    guard Self.blockSizes.contains(blockSize) else {
      throw Failure(
        .usage, at: "block size", "no such size of blocks",
        expected: Self.blockSizes.map(String.init).joined(separator: ", "), found: "\(blockSize)")
    }
    (self.kind, self.blockSize, self.rules) = (kind, blockSize, rules)
    rule = NibbleRule(kind, rules)
  }

  /// The largest magnitude of each block of `values` (F32, F16 or BF16; whole blocks but for the end
  /// of the weight): `absmax` float32. Returns how many blocks hold an infinity or NaN. O(values).
  public func absmax(
    _ values: RawSpan, _ type: DType = .f32, into absmax: inout MutableRawSpan
  ) -> Int {
    let wrong = Blockwise.absmax(values, type, block: blockSize, into: &absmax)
    let last = absmax.byteCount / 4 - 1
    // BNB-43: the end of a weight has the floor written out.
    if tail(of: values, type) > 0, absmax.bytes.float32(at: last) < rule.floor {
      absmax.set(rule.floor.bitPattern, at: last)
    }
    return wrong
  }

  /// Codes of `values` with their `absmax`, two in a byte, the first in its high half. O(values).
  public func quantize(
    _ values: RawSpan, _ type: DType = .f32, absmax: RawSpan, into packed: inout MutableRawSpan
  ) {
    Blockwise.nibbles(values, type, absmax: absmax, block: blockSize, by: rule, into: &packed)
    let tail = tail(of: values, type)
    if tail > 0 { divide(last: tail, of: values, type, absmax, into: &packed) }
  }

  /// Numbers in a last block that is partial and is treated in another way.
  private func tail(of values: RawSpan, _ type: DType) -> Int {
    rules == .cpu ? values.byteCount * 8 / type.bits % blockSize : 0
  }

  /// BNB-43: the CPU divides the last block where it multiplies others.
  private func divide(
    last count: Int, of values: RawSpan, _ type: DType, _ absmax: RawSpan,
    into packed: inout MutableRawSpan
  ) {
    let most = absmax.float32(at: absmax.byteCount / 4 - 1)
    let start = values.byteCount * 8 / type.bits - count
    let codes = values.floats(start..<start + count, of: type).map { rule.code(of: $0 / most) }
    for index in stride(from: 0, to: count, by: 2) {
      let low = index + 1 < count ? codes[index + 1] : rule.code(of: 0)
      packed.set(codes[index] << 4 | low, at: (start + index) / 2)
    }
  }
}

extension RawSpan {
  /// A few numbers of two or four bytes.
  fileprivate func floats(_ range: Range<Int>, of type: DType) -> [Float] {
    range.map { index in
      switch type {
      case .f16: FloatFormat.f16.value(UInt32(uint16(at: index)))
      case .bf16: Float(bitPattern: UInt32(uint16(at: index)) << 16)
      default: float32(at: index)
      }
    }
  }
}

extension NibbleRule {
  /// Below this the CPU paths take the largest magnitude of a block for this.
  static let cpuFloor: Float = 1e-38

  init(_ kind: FourBit.Kind, _ rules: PeerRules) {
    switch (kind, rules) {
    case (.nf4, .cuda): self.init(midpointsOf: Array(0..<16), kind, nanCode: 0, floor: 0)
    case (.nf4, .cpu):
      self.init(midpointsOf: Array(0..<16), kind, nanCode: 15, floor: Self.cpuFloor)
    // BNB-41: sorted, with the two zeros beside each other.
    case (.fp4, .cpu):
      self.init(
        midpointsOf: [11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3], kind, nanCode: 3,
        floor: Self.cpuFloor)
    case (.fp4, .cuda): self = .magnitudes
    }
  }

  /// The nearest entry, the lower one at a tie. `order` lists the codes by ascending entry.
  private init(midpointsOf order: [UInt8], _ kind: FourBit.Kind, nanCode: UInt8, floor: Float) {
    let values = order.map { kind.table[Int($0)] }
    let thresholds = zip(values, values.dropFirst()).map { ($0 + $1) / 2 }
    self.init(thresholds: thresholds, codes: order, nanCode: nanCode, floor: floor)
  }

  /// FP4 on CUDA: a tree of decimal constants on the magnitude, the smaller one at a tie; the sign
  /// bit of what is below 0.
  private static var magnitudes: NibbleRule {
    let limits: [Float] = [
      0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333,
    ]
    let codes: [UInt8] = [0, 1, 6, 7, 4, 5, 2, 3]
    // Below 0 "not above in magnitude" reads "above the number before the negative limit".
    let negative = limits.reversed().map { (-$0).nextDown } + [Float(0).nextDown]
    return NibbleRule(
      thresholds: negative + limits, codes: codes.reversed().map { $0 | 8 } + codes, nanCode: 0,
      floor: 0)
  }
}
