import Codecs
import Kernels
import TensorCore

/// A layer that is not made yet, in the form it will have: enough for a layout to say whether it can hold
/// it, and how large that will be. It has no codes; scales are 1, zero points the two ends of their
/// range by turns.
struct PredictedLayer: PackedLayer {
  let claim: LayerClaim
  let form: QuantizedForm
  private let zeros: ClosedRange<Int>

  init(_ module: QuantizedModules.Module, scaleType: DType, lowestZero: Int) {
    let (size, columns) = (module.groupSize, module.columns)
    let groups = columns.dividedRoundingUp(by: size)
    let bits = module.settings.bits
    // Any order but the plain one stands for the one the inputs will give.
    let grouping: Grouping =
      module.settings.actOrder && groups > 1
      ? .map(groups: (0..<columns).map { Int32((columns - 1 - $0) / size) }, count: groups)
      : .columns(size: size)
    form = QuantizedForm(
      rows: module.rows, columns: columns, grid: .affine(bits: bits), grouping: grouping,
      scaleType: scaleType, offset: .integer)
    let middle = 1 << (bits - 1)
    zeros = module.settings.symmetric ? middle...middle : lowestZero...(1 << bits) - 1
    claim = LayerClaim(
      name: module.name, layout: "", rows: module.rows, columns: columns, bits: bits,
      groupSize: size, parts: [:])
  }

  var order: Order { .outputMajor }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    throw Failure(.internal, at: name, "the layer is not quantized yet")
  }

  func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let ones = [Float](repeating: 1, count: region.count)
    guard form.scaleType != .f32 else { return scales.copy(from: ones.rawSpan) }
    try FloatConversion.fromFloat32(form.scaleType, ones.rawSpan, into: &scales)
  }

  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    for index in 0..<region.count {
      offsets.set(UInt16(index % 2 == 0 ? zeros.lowerBound : zeros.upperBound), at: index)
    }
  }
}
