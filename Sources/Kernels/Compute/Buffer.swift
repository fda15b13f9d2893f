/// f32 numbers where a `Compute` keeps them. Only the one that made a buffer can use it; reading and
/// writing go through it too.
open class Buffer: @unchecked Sendable {
  /// The numbers there is room for.
  public let count: Int

  public init(count: Int) {
    self.count = count
  }
}
