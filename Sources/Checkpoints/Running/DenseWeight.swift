internal import Codecs
internal import Kernels
internal import TensorCore

/// A dense matrix of a checkpoint as models read it.
struct DenseWeight: WeightSource {
  let name: String
  let matrix: ValueMatrix

  var rows: Int { matrix.rows }
  var columns: Int { matrix.columns }
  var denseType: DType { matrix.dtype }
  var form: QuantizedForm? { nil }

  func readWeights(
    _ rows: Range<Int>, into weights: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try matrix.read(rows, into: &weights, workspace)
  }

  func readCodes(
    _ rows: Range<Int>, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws { throw noCodes }

  func readScales(
    _ rows: Range<Int>, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws { throw noCodes }

  func readOffsets(
    _ rows: Range<Int>, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws { throw noCodes }

  private var noCodes: Failure {
    Failure(.internal, at: name, "a dense matrix was asked for codes")
  }
}

/// A packed layer as models read it.
struct PackedWeight: WeightSource {
  let layer: any PackedLayer
  /// The type its loader computes in.
  let denseType: DType

  var name: String { layer.name }
  var rows: Int { layer.form.rows }
  var columns: Int { layer.form.columns }
  var form: QuantizedForm? { layer.form }

  func readWeights(
    _ rows: Range<Int>, into weights: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try layer.readWeights(region(rows), into: &weights, workspace)
  }

  func readCodes(
    _ rows: Range<Int>, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try layer.readCodes(region(rows), .outputMajor, into: &codes, workspace)
  }

  func readScales(
    _ rows: Range<Int>, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try layer.readFloatScales(groups(rows), .outputMajor, into: &scales, workspace)
  }

  func readOffsets(
    _ rows: Range<Int>, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try layer.readFloatOffsets(groups(rows), into: &offsets, workspace)
  }

  private func region(_ rows: Range<Int>) -> Region {
    Region(rows: rows, columns: 0..<layer.form.columns)
  }

  private func groups(_ rows: Range<Int>) -> Region {
    Region(rows: rows, columns: 0..<layer.form.groups)
  }
}
