public import TensorCore

/// A matrix of weights as a checkpoint holds it, dense or packed, read in bands of whole rows: rows are
/// outputs, columns are inputs.
///
/// Bands begin at multiples of 32 rows. All methods may be called from many threads, each with a
/// workspace of its own. They throw `io`.
public protocol WeightSource: Sendable {
  /// The module's path, for messages.
  var name: String { get }
  var rows: Int { get }
  var columns: Int { get }
  /// The type of a dense matrix's numbers; of a packed one the type its loader computes in.
  var denseType: DType { get }
  /// How a packed matrix holds its numbers; nil where it is dense.
  var form: QuantizedForm? { get }
  /// Weights, dequantized where they are packed: f32 `[rows][columns]`.
  func readWeights(
    _ rows: Range<Int>, into weights: inout MutableRawSpan, _ workspace: Workspace
  ) throws
  /// Codes of a packed matrix, one byte each: `[rows][columns]`.
  func readCodes(
    _ rows: Range<Int>, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws
  /// Scales of a packed matrix: f32 `[rows][groups]`.
  func readScales(
    _ rows: Range<Int>, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws
  /// Offsets of a packed matrix as its form's `offset` says: f32 `[rows][groups]`, none where it has none.
  func readOffsets(
    _ rows: Range<Int>, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws
}
