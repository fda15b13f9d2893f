import Kernels
import TensorCore

/// An AWQ GEMV layer open for reading: codes in bands of outputs.
struct AWQGEMVLayer: PackedLayer {
  let claim: LayerClaim
  let form: QuantizedForm
  let order = Order.outputMajor
  private let qweight: Tensor
  private let qzeros: Tensor
  private let scales: Tensor

  init(_ claim: LayerClaim) throws {
    self.claim = claim
    qweight = try claim.part("qweight")
    qzeros = try claim.part("qzeros")
    scales = try claim.part("scales")
    form = QuantizedForm(
      rows: claim.rows, columns: claim.columns, grid: .affine(bits: 4),
      grouping: .columns(size: claim.groupSize), scaleType: scales.dtype, offset: .integer)
  }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let run = region.columns.lowerBound / 2..<region.columns.upperBound / 2
    try workspace.lend(region.rows.count * run.count) { words in
      try qweight.readRectangle(
        into: &words, rows: region.rows, rowBytes: claim.columns / 2, run: run)
      switch order {
      case .outputMajor: BitStream.unpack(bits: 4, words.bytes, into: &codes)
      case .inputMajor:
        // A row of words is one stream of codes, so turning the words turns the codes.
        workspace.lend(words.byteCount) { turned in
          Transpose.words(
            words.bytes, rows: region.rows.count, columns: run.count / 4, into: &turned)
          WordRows.unpack(bits: 4, turned.bytes, columns: region.rows.count, into: &codes)
        }
      }
    }
  }

  func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let size = form.scaleType.bits / 8
    let run = region.columns.lowerBound * size..<region.columns.upperBound * size
    try workspace.lend(region.count * size) { rectangle in
      try self.scales.readRectangle(
        into: &rectangle, rows: region.rows, rowBytes: self.scales.shape[1] * size, run: run)
      rectangle.moveRows(into: &scales, region, order, size: size)
    }
  }

  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let words = region.columns.lowerBound / 8..<region.columns.upperBound.dividedRoundingUp(by: 8)
    let rows = region.rows.count
    try workspace.lend(rows * words.count * 8) { fields in
      try workspace.lend(rows * words.count * 4) { packed in
        try qzeros.readRectangle(
          into: &packed, rows: region.rows, rowBytes: qzeros.shape[1] * 4,
          run: words.lowerBound * 4..<words.upperBound * 4)
        BitStream.unpack(bits: 4, packed.bytes, into: &fields)
      }
      workspace.lend(region.count * 2) { zeros in
        var position = 0
        for row in 0..<rows {
          let first = (row * words.count - words.lowerBound) * 8
          for group in region.columns {
            zeros.set(UInt16(fields.bytes.uint8(at: first + group)), at: position)
            position += 1
          }
        }
        zeros.moveRows(into: &offsets, region, order, size: 2)
      }
    }
  }
}
