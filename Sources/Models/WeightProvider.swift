public import Kernels

/// Where a model's weights come from: matrices and vectors by the names they have in a dense checkpoint.
///
/// All methods may be called from many threads. They throw `malformed` where a tensor is absent or has no
/// such form, and `io`.
public protocol WeightProvider: Sendable {
  /// The checkpoint's path, for messages.
  var path: String { get }
  /// Names of all tensors; the parts of a packed layer count as the one dense tensor they stand for.
  var names: Set<String> { get }
  /// The matrix of a dense tensor or packed layer, outputs first. `isTransposed`: a dense tensor holds inputs
  /// first. With a slice the tensor is `[count][rows][columns]`. Reads no weights.
  func matrix(_ name: String, slice: LinearPlan.Slice?, isTransposed: Bool) throws
    -> any WeightSource
  /// All numbers of a tensor of one dimension.
  func vector(_ name: String) throws -> [Float]
}
