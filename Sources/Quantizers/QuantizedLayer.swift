public import Kernels

/// A linear layer as integers, and how well they do.
public struct QuantizedLayer: Sendable, Equatable {
  public let matrix: QuantizedMatrix
  public var report: QuantizationReport
}

/// What quantizing a layer cost. Errors are measured with the scales before they are rounded to their
/// stored type.
public struct QuantizationReport: Sendable, Equatable {
  /// ‖W − Q‖ / ‖W‖ over all weights, those of dead columns left out; 0 where W is 0.
  public var weightError: Double
  /// Σ (error/U[i][i])² = tr((W−Q)·H·(W−Q)ᵀ), H damped; nil without error feedback.
  public var loss: Double?
  /// ‖(W−Q)·X‖ / ‖W·X‖ over the tokens of the Hessian; nil where it was not measured.
  public var outputError: Double?
  /// The part of the diagonal's mean that was added to it.
  public var damp: Double?
  /// What was added to the diagonal before, where damping alone did not help.
  public var diagonalFloor: Double?
  /// Columns (inputs) that were 0 for all tokens; their weights become 0.
  public var deadColumns = 0
  /// Tokens of the Hessian.
  public var tokens: Int?
  /// Why the layer was rounded without error feedback though it was asked for.
  public var fallback: String?
  public var seconds = 0.0

  public init(weightError: Double) {
    self.weightError = weightError
  }
}
