internal import TensorCore

/// One state of an optimizer in 8 bits: codes of a table, scaled by the largest magnitude of
/// each block.
public struct BlockwiseState: Equatable, Sendable {
  /// Values that share one scale; 2048 before bitsandbytes 0.44.
  public static let standardBlock = 256

  /// One byte each.
  public internal(set) var codes: [UInt8]
  /// One for each block, the last one possibly in part.
  public internal(set) var absmax: [Float]
  /// 256 ascending values.
  public let map: [Float]
  public let block: Int

  /// Traps where the counts do not fit each other.
  public init(codes: [UInt8], absmax: [Float], map: [Float], block: Int = standardBlock) {
    precondition(map.count == 256 && block > 0)
    precondition(absmax.count == codes.count.dividedRoundingUp(by: block))
    (self.codes, self.absmax, self.map, self.block) = (codes, absmax, map, block)
  }

  /// The state before the first step: all bytes zero, which is no value since scales are zero too.
  public init(count: Int, map: [Float], block: Int = standardBlock) {
    let blocks = count.dividedRoundingUp(by: block)
    self.init(
      codes: [UInt8](repeating: 0, count: count), absmax: [Float](repeating: 0, count: blocks),
      map: map, block: block)
  }

  /// Values in 8 bits by the rules of the optimizers' own last step. O(values).
  public init(
    quantizing values: [Float], map: [Float], keepsSign: Bool, block: Int = standardBlock,
    rules: PeerRules = .cuda
  ) {
    self.init(count: values.count, map: map, block: block)
    let quantizer = StateQuantizer(map: map, keepsSign: keepsSign, rules: rules)
    absmax = quantizer.scales(values, block: block)
    codes = quantizer.codes(values, absmax: absmax, block: block)
  }

  /// The values: map[code] · absmax, one rounding each. O(values).
  public var values: [Float] {
    codes.enumerated().map { map[Int($1)] * absmax[$0 / block] }
  }

  func range(ofBlock index: Int) -> Range<Int> {
    index * block..<min((index + 1) * block, codes.count)
  }
}
