public import Kernels
public import TensorCore

/// What GPTQ knows of a layer's inputs: H = 2/n · Σ x·xᵀ over n tokens, `[columns][columns]`. Linear
/// layers that share an input share it.
///
/// The factor does not change what GPTQ makes of it, but for dead columns, whose 1 on the diagonal enters
/// the damping; n counts tokens, as GPTQModel does (the original code counts sequences).
public struct Hessian: Sendable {
  public let columns: Int
  /// Tokens that went in.
  public let tokens: Int
  let matrix: SquareMatrix
  /// 2/n · Σ (x₀ − x)·xᵀ with the inputs x₀ of the unquantized model, where they were given.
  let drift: SquareMatrix?

  init(_ matrix: SquareMatrix, drift: SquareMatrix?, tokens: Int) {
    (self.matrix, self.drift, self.tokens) = (matrix, drift, tokens)
    columns = matrix.count
  }

  /// Of numbers `[columns][columns]` from elsewhere, such as a file of statistics. Only the upper
  /// triangle is used. Throws `usage` where the count is another, `cannotRepresent` where a number on
  /// the diagonal is not finite.
  public init(_ values: [Float], columns: Int, tokens: Int, name: String) throws(Failure) {
    guard columns > 0, values.count == columns * columns else {
      throw Failure(
        .usage, at: name, "a Hessian is square", expected: "\(columns * columns) numbers",
        found: "\(values.count)")
    }
    try self.init(SquareMatrix(values, count: columns), tokens: tokens, name: name)
  }

  /// Of a matrix from elsewhere, in its precision, which is taken over and gets its upper triangle below as well.
  /// Throws `cannotRepresent` where a number on the diagonal is not finite.
  public init(_ matrix: SquareMatrix, tokens: Int, name: String) throws(Failure) {
    matrix.completeTriangle(times: 1)
    self.init(matrix, drift: nil, tokens: tokens)
    try check(name)
  }

  /// How much each input counts: twice the mean of x².
  public var importance: [Float] { matrix.diagonal }

  /// All numbers in f32, `[columns][columns]`. O(columns²).
  public var values: [Float] { matrix.values }

  /// All numbers as they were summed, f32 or f64, for the length of a call.
  public func withBytes<Result>(_ body: (RawSpan) throws -> Result) rethrows -> Result {
    try matrix.withBytes(body)
  }

  func check(_ name: String) throws(Failure) {
    if let column = importance.firstIndex(where: { !$0.isFinite }) {
      throw Failure(
        .cannotRepresent, at: name, "an input is not finite, or too large to be squared",
        found: "input channel \(column)")
    }
  }
}
