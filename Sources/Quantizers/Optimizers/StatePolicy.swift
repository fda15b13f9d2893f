/// Which parameters have 8-bit states.
public enum StatePolicy {
  /// Parameters with fewer values keep 32-bit states (`min_8bit_size`).
  public static let minimumCount = 4096

  /// Whether a parameter of `count` values has 8-bit states. `isOverridden` is a request for
  /// 32 bits of its own, such as `StableEmbedding` and `Embedding` register for their weights.
  public static func is8Bit(count: Int, isOverridden: Bool, minimum: Int = minimumCount) -> Bool {
    count >= minimum && !isOverridden
  }
}
