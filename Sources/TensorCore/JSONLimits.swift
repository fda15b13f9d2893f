/// How much of a JSON text is taken, so that memory stays in proportion to the file.
public struct JSONLimits: Sendable, Equatable {
  /// Bytes of the whole text.
  public var maxBytes: Int
  /// Objects and arrays around a value; at most 512 is used.
  public var maxDepth: Int
  /// Members of all objects and elements of all arrays together.
  public var maxMembers: Int
  /// Objects; counted apart because the parser spends some 800 bytes on one that is empty.
  public var maxObjects: Int
  /// UTF-8 bytes of a key, escapes decoded.
  public var maxKeyBytes: Int

  public init(
    maxBytes: Int, maxDepth: Int = 64, maxMembers: Int, maxObjects: Int, maxKeyBytes: Int = 4096
  ) {
    self.maxBytes = maxBytes
    self.maxDepth = maxDepth
    self.maxMembers = maxMembers
    self.maxObjects = maxObjects
    self.maxKeyBytes = maxKeyBytes
  }

  /// For configs and shard indices. The largest index to expect, 61 layers of 384 experts in
  /// four parts each, has 280 000 members and 27 MB.
  public static let config = JSONLimits(
    maxBytes: 64_000_000, maxMembers: 1_000_000, maxObjects: 100_000)

  /// For safetensors headers: the byte cap of the reference reader, and room for 300 000 tensors
  /// (one member, three fields, two dimensions and two offsets are eight entries each).
  public static let header = JSONLimits(
    maxBytes: 100_000_000, maxMembers: 2_500_000, maxObjects: 300_000)

  /// For `tokenizer.json`: 262 144 tokens and 514 906 merges, the largest to expect, are 34 MB and
  /// 1.8 million members where each merge is a list of two.
  public static let tokenizer = JSONLimits(
    maxBytes: 200_000_000, maxMembers: 8_000_000, maxObjects: 100_000)
}
