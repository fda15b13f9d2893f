import Kernels
import TensorCore

/// Words of 8 or 16 bits down the columns of a tensor, read as if they were the words of 32 bits
/// that the same streams of codes fill (GPTQ-27).
///
/// Word `[row][column]` of 32 bits is made of two or four narrow ones of that column, the first of
/// them lowest: a run of bytes or halves from each narrow row, transposed.
struct NarrowWords: ByteSource {
  private let narrow: Tensor
  private let columns: Int
  /// Narrow words in one of 32 bits: 2 or 4.
  private let ratio: Int

  /// The widths there are, in bits, by the type of the words.
  static func width(of type: DType) -> Int? {
    switch type {
    case .i8: 8
    case .i16: 16
    case .i32: 32
    default: nil
    }
  }

  /// `tensor`, two-dimensional, as I32; itself where it is. nil where its rows end within a word of
  /// 32 bits, or are no words.
  static func widened(_ tensor: Tensor) -> Tensor? {
    guard let width = width(of: tensor.dtype), let (rows, columns) = tensor.shape.matrix,
      rows % (32 / width) == 0
    else { return nil }
    guard width < 32 else { return tensor }
    let ratio = 32 / width
    guard let shape = Shape([rows / ratio, columns]),
      let info = TensorInfo(name: tensor.name, dtype: .i32, shape: shape)
    else { return nil }
    let source = NarrowWords(narrow: tensor, columns: columns, ratio: ratio)
    return Tensor(info: info, source: source, offset: 0)
  }

  var path: String { narrow.source.path }
  var size: Int { narrow.byteCount }

  /// Fills `bytes` with whole words from `offset`, which bands and rectangles ask for.
  func read(into bytes: inout MutableRawSpan, at offset: Int) throws {
    precondition(offset % 4 == 0 && bytes.byteCount % 4 == 0)
    var block = AlignedBytes(count: min(bytes.byteCount, columns * 4))
    var done = 0
    while done < bytes.byteCount {
      let word = offset / 4 + done / 4
      let start = word % columns
      let count = min(columns - start, (bytes.byteCount - done) / 4)
      var target = bytes.part(done..<done + count * 4)
      try block.withMutableBytes(count: count * 4) { rows in
        try readRows(of: word / columns, start..<start + count, into: &rows)
        interleave(rows.bytes, columns: count, into: &target)
      }
      done += count * 4
    }
  }

  /// The narrow rows `[ratio][run]` of one row of words.
  private func readRows(
    of row: Int, _ run: Range<Int>, into rows: inout MutableRawSpan
  ) throws {
    let size = 4 / ratio
    try narrow.readRectangle(
      into: &rows, rows: row * ratio..<(row + 1) * ratio, rowBytes: columns * size,
      run: run.lowerBound * size..<run.upperBound * size)
  }

  private func interleave(_ rows: RawSpan, columns: Int, into words: inout MutableRawSpan) {
    if ratio == 4 {
      Transpose.bytes(rows, rows: ratio, columns: columns, into: &words)
    } else {
      Transpose.halves(rows, rows: ratio, columns: columns, into: &words)
    }
  }
}
