import Kernels
import TensorCore

extension Tensor {
  /// Reads a region of a `[groups, rows]` tensor of scales, in either order.
  func readGroupRows(
    _ region: Region, _ order: Order, columns: Int, into values: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws {
    let size = dtype.bits / 8
    try workspace.lend(region.count * size) { rectangle in
      try readRectangle(
        into: &rectangle, rows: region.columns, rowBytes: columns * size,
        run: region.rows.lowerBound * size..<region.rows.upperBound * size)
      rectangle.move(into: &values, region, order, size: size)
    }
  }
}

extension MutableRawSpan {
  /// Copies a `[group][row]` rectangle of 2- or 4-byte elements to `target`, turned where `order`
  /// asks for `[row][group]`.
  func move(into target: inout MutableRawSpan, _ region: Region, _ order: Order, size: Int = 2) {
    let (groups, rows) = (region.columns.count, region.rows.count)
    switch order {
    case .inputMajor: target.copy(from: bytes)
    case .outputMajor where size == 2:
      Transpose.halves(bytes, rows: groups, columns: rows, into: &target)
    case .outputMajor:
      Transpose.words(bytes, rows: groups, columns: rows, into: &target)
    }
  }

  /// Copies a `[row][group]` rectangle of elements of 1, 2 or 4 bytes to `target`, turned where
  /// `order` asks for `[group][row]`.
  func moveRows(into target: inout MutableRawSpan, _ region: Region, _ order: Order, size: Int) {
    let (rows, groups) = (region.rows.count, region.columns.count)
    switch (order, size) {
    case (.outputMajor, _): target.copy(from: bytes)
    case (_, 1): Transpose.bytes(bytes, rows: rows, columns: groups, into: &target)
    case (_, 2): Transpose.halves(bytes, rows: rows, columns: groups, into: &target)
    default: Transpose.words(bytes, rows: rows, columns: groups, into: &target)
    }
  }

  /// Sets every 16-bit element.
  mutating func fill(_ value: UInt16) {
    for index in 0..<byteCount / 2 { set(value, at: index) }
  }

  /// Adds the low bits of `constant` to every word of 8, 16 or 32 bits, modulo its width.
  mutating func addToWords(_ constant: UInt32, wordBits: Int) {
    switch wordBits {
    case 8:
      for index in 0..<byteCount {
        set(bytes.uint8(at: index) &+ UInt8(truncatingIfNeeded: constant), at: index)
      }
    case 16:
      for index in 0..<byteCount / 2 {
        set(bytes.uint16(at: index) &+ UInt16(truncatingIfNeeded: constant), at: index)
      }
    default:
      for index in 0..<byteCount / 4 { set(bytes.uint32(at: index) &+ constant, at: index) }
    }
  }
}

extension MutableRawSpan {
  /// Sets every byte to zero.
  mutating func clear() { Bytes.fill(&self, with: 0) }
}
