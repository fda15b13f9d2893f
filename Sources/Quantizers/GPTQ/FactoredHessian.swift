internal import Kernels
internal import TensorCore

/// A Hessian in the order its columns are rounded in, damped and factored: H⁻¹ = Uᵀ·U with U upper.
public struct FactoredHessian: Sendable {
  public let columns: Int
  public let tokens: Int
  /// Why there is no factor; nil where there is one.
  public let failure: String?
  /// The part of the mean that was added to the diagonal.
  public let damp: Double
  /// What was added before that; nil where damping alone sufficed.
  public let floor: Double?

  let settings: GPTQuantizer
  let order: ColumnOrder
  /// Columns without any input, by their place in the weight.
  let dead: [Int]
  /// How much each input counts, by its place in the weight.
  let importance: [Float]
  /// All that was added to the diagonal.
  let added: Double
  /// U, and R = U⁻¹ with H = R·Rᵀ.
  let factor: SquareMatrix
  let root: SquareMatrix
  /// What a column's own value adds to those behind it.
  let drift: SquareMatrix?

  init(_ hessian: Hessian, for settings: GPTQuantizer, threads: Int, in store: MatrixStore?) {
    (columns, tokens, self.settings) = (hessian.columns, hessian.tokens, settings)
    importance = hessian.importance
    dead = importance.indices.filter { [importance] in importance[$0] == 0 }
    var diagonal = importance
    for column in dead { diagonal[column] = 1 }
    let order = ColumnOrder(
      settings.order, diagonal: diagonal, groupSize: settings.grid.groupSize(columns: columns),
      isStatic: settings.hasStaticGroups)
    self.order = order
    let ladder = DampingLadder(
      hessian.matrix, order: order.columns, diagonal: order.columns.map { diagonal[$0] },
      settings, threads: threads, in: store)
    let found = ladder.climb()
    failure = found == nil ? "the Hessian is not positive, whatever is added to its diagonal" : nil
    (damp, floor, added) = (found?.damp ?? 0, found?.floor, found?.added ?? 0)
    let none = SquareMatrix(count: 0)
    factor = found?.factor.converted(to: .single, threads: threads) ?? none
    root = found?.root.converted(to: .single, threads: threads) ?? none
    guard let alpha = settings.asymmetry, let drift = hessian.drift, found != nil else {
      drift = nil
      return
    }
    self.drift = Self.driftFactor(drift, order, dead, factor, alpha, threads: threads)
  }

  /// P = α·triu(D·Uᵀ, 1)·U, D without the columns of dead inputs.
  private static func driftFactor(
    _ drift: SquareMatrix, _ order: ColumnOrder, _ dead: [Int], _ factor: SquareMatrix,
    _ alpha: Float, threads: Int
  ) -> SquareMatrix {
    let dead = Set(dead)
    let places = order.columns.indices.filter { dead.contains(order.columns[$0]) }
    return drift.ordered(by: order.columns, threads: threads)
      .converted(to: .single, threads: threads)
      .strictUpperProduct(factor, clearing: places, times: alpha, threads: threads)
  }

  /// Which columns of the matrix share a scale.
  var grouping: Grouping {
    let size = settings.grid.groupSize(columns: columns)
    guard let map = order.map else { return .columns(size: size) }
    return .map(groups: map, count: columns.dividedRoundingUp(by: size))
  }
}
