/// A gradient's scale by the norms of the last hundred, as bitsandbytes had it before 0.50.
public struct PercentileClipping: Equatable, Sendable {
  /// Norms that are remembered.
  public static let window = 100

  /// The place among the sorted norms whose value is the longest gradient let through; 100 means
  /// that none is cut.
  public let percentile: Int
  /// Squared norms, that of step t at t modulo 100.
  public private(set) var squares = [Float](repeating: 0, count: window)

  /// Traps on a percentile outside of 1 … 100.
  public init(percentile: Int) {
    precondition((1...Self.window).contains(percentile))
    self.percentile = percentile
  }

  /// Takes in the gradient of a step, 1 the first, which fills the whole window, and returns what
  /// it is to be multiplied by. The square is summed in f64. O(values + window).
  public mutating func scale(_ gradient: [Float], step: Int) -> Float {
    let square = Float(gradient.reduce(0.0) { $0 + Double($1) * Double($1) })
    if step == 1 {
      squares = squares.map { _ in square }
    } else {
      squares[step % Self.window] = square
    }
    guard percentile < Self.window else { return 1 }
    let limit = squares.sorted()[percentile].squareRoot()
    let norm = square.squareRoot()
    return norm > limit ? limit / norm : 1
  }
}
