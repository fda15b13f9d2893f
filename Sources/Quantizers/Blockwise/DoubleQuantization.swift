public import TensorCore

/// Double quantization: the absmax of a weight's blocks, less their mean, in codes of eight bits with
/// an absmax for every 256 of them. Source: QLoRA, arXiv 2305.14314.
public struct DoubleQuantization: Sendable {
  /// Values of a weight's absmax that share one of their own.
  public static let blockSize = 256

  /// The mean of all absmax of the weight.
  public let offset: Float
  private let codes: EightBit

  /// Takes the mean of `absmax`, float32, all of the weight. O(blocks).
  public init(of absmax: RawSpan, rules: PeerRules = .cuda) throws(Failure) {
    try self.init(offset: BlockMean(rules).mean(absmax), rules: rules)
  }

  public init(offset: Float, rules: PeerRules = .cuda) throws(Failure) {
    self.offset = offset
    codes = try EightBit(blockSize: Self.blockSize, rules: rules)
  }

  /// The 256 numbers the codes stand for.
  public var table: [Float] { codes.table }

  /// Subtracts the offset from absmax in place, each difference rounded once. O(blocks).
  public func centre(_ absmax: inout MutableRawSpan) {
    for index in 0..<absmax.byteCount / 4 {
      absmax.set((absmax.bytes.float32(at: index) - offset).bitPattern, at: index)
    }
  }

  /// The absmax of centred absmax: float32, one for each 256. O(blocks).
  public func nestedAbsmax(_ centred: RawSpan, into nested: inout MutableRawSpan) {
    _ = codes.absmax(centred, into: &nested)
  }

  /// Codes of centred absmax, with their nested absmax. O(blocks).
  public func quantize(_ centred: RawSpan, nested: RawSpan, into codes: inout MutableRawSpan) {
    self.codes.quantize(centred, absmax: nested, into: &codes)
  }
}
