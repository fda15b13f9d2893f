import Kernels
import TensorCore

/// Reads a layer whose rows or columns are wanted in another order than they lie in.
///
/// What a region shows may lie anywhere along the reordered axis. Where that is the outer one, runs of lines
/// that are wanted are read and copied to their places; where it is the inner one, whole lines are read and
/// their elements picked. Memory is the region's and one chunk.
struct Gather {
  enum Axis { case rows, columns }

  /// What is read: elements of `size` bytes, `count` for every `unit` rows or columns of the other axis.
  struct Elements {
    var size = 1
    var unit = Region.alignment
    var count = Region.alignment
  }

  /// Fills in a region of the base in the base's own order.
  typealias ReadBase = (Region, inout MutableRawSpan) throws -> Void

  /// Bytes that are read at a time.
  private static let chunk = BandSize.turned / 8

  let base: any PackedLayer
  let axis: Axis
  let permutation: Permutation
  private let inverse: Permutation

  init(_ base: any PackedLayer, _ axis: Axis, _ permutation: Permutation) {
    self.base = base
    self.axis = axis
    self.permutation = permutation
    inverse = permutation.inverse
  }

  /// Whether lines along the other axis lie in one piece.
  private var hasWholeLines: Bool { (axis == .columns) == (base.order == .inputMajor) }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try read(region, order, Elements(), into: &codes, workspace) {
      try base.readCodes($0, base.order, into: &$1, workspace)
    }
  }

  func read(
    _ region: Region, _ order: Order, _ elements: Elements, into target: inout MutableRawSpan,
    _ workspace: Workspace, _ readBase: ReadBase
  ) throws {
    let (wanted, other) =
      axis == .rows ? (region.rows, region.columns) : (region.columns, region.rows)
    guard !wanted.isEmpty, !other.isEmpty else { return }
    let length = other.count * elements.count / elements.unit
    guard hasWholeLines else {
      return try pick(
        wanted, other, elements, length: length, isTurned: order != base.order, into: &target,
        workspace, readBase)
    }
    guard order != base.order else {
      return try copyLines(
        wanted, other, length * elements.size, into: &target, workspace, readBase)
    }
    try workspace.lend(target.byteCount) { lines in
      try copyLines(wanted, other, length * elements.size, into: &lines, workspace, readBase)
      Self.turn(
        lines.bytes, elements.size, rows: wanted.count, columns: length, spacing: wanted.count,
        into: &target)
    }
  }

  /// The base's region of places along the reordered axis, and along the other one.
  private func region(_ places: Range<Int>, _ other: Range<Int>) -> Region {
    axis == .rows ? Region(rows: places, columns: other) : Region(rows: other, columns: places)
  }

  /// `[wanted line][its bytes]`.
  private func copyLines(
    _ wanted: Range<Int>, _ other: Range<Int>, _ lineBytes: Int, into target: inout MutableRawSpan,
    _ workspace: Workspace, _ readBase: ReadBase
  ) throws {
    for run in runs(of: wanted, lineBytes: lineBytes) {
      try workspace.lend(run.count * lineBytes) { lines in
        try readBase(region(run, other), &lines)
        for line in run {
          let place = Int(inverse.sources[line])
          guard wanted.contains(place) else { continue }
          let start = (place - wanted.lowerBound) * lineBytes
          let from = (line - run.lowerBound) * lineBytes
          var part = target.part(start..<start + lineBytes)
          part.copy(from: lines.bytes.part(from..<from + lineBytes))
        }
      }
    }
  }

  /// Runs of whole blocks of lines, as regions may be read, each of them with a line that is wanted.
  private func runs(of wanted: Range<Int>, lineBytes: Int) -> [Range<Int>] {
    let step = Region.alignment
    let blocks = permutation.count.dividedRoundingUp(by: step)
    var isWanted = [Bool](repeating: false, count: blocks)
    for source in permutation.sources[wanted] { isWanted[Int(source) / step] = true }
    let most = max(Self.chunk / max(lineBytes * step, 1), 1)
    var runs: [Range<Int>] = []
    var start = 0
    while start < blocks {
      guard isWanted[start] else {
        start += 1
        continue
      }
      var end = start + 1
      while end < blocks, isWanted[end], end - start < most { end += 1 }
      runs.append(start * step..<min(end * step, permutation.count))
      start = end
    }
    return runs
  }

  /// `[other][wanted element]`, or turned.
  private func pick(
    _ wanted: Range<Int>, _ other: Range<Int>, _ elements: Elements, length: Int, isTurned: Bool,
    into target: inout MutableRawSpan, _ workspace: Workspace, _ readBase: ReadBase
  ) throws {
    let (size, width) = (elements.size, wanted.count)
    let lineBytes = permutation.count * size
    let step = max(Self.chunk / max(lineBytes * elements.count, 1), 1) * elements.unit
    let sources = permutation.sources[wanted]
    for start in stride(from: other.lowerBound, to: other.upperBound, by: step) {
      let part = start..<min(start + step, other.upperBound)
      let first = (start - other.lowerBound) / elements.unit * elements.count
      let count = part.count * elements.count / elements.unit
      try workspace.lend(count * lineBytes) { lines in
        try readBase(region(0..<permutation.count, part), &lines)
        guard isTurned else {
          var picked = target.part(first * width * size..<(first + count) * width * size)
          return Self.pick(sources, of: lines.bytes, lines: count, size, into: &picked)
        }
        workspace.lend(count * width * size) { picked in
          Self.pick(sources, of: lines.bytes, lines: count, size, into: &picked)
          var place = target.part(first * size..<((width - 1) * length + first + count) * size)
          Self.turn(
            picked.bytes, size, rows: count, columns: width, spacing: length, into: &place)
        }
      }
    }
  }

  private static func pick(
    _ sources: ArraySlice<Int32>, of bytes: RawSpan, lines: Int, _ size: Int,
    into target: inout MutableRawSpan
  ) {
    guard lines > 0 else { return }
    let lineBytes = bytes.byteCount / lines
    let width = sources.count * size
    for line in 0..<lines {
      let source = bytes.part(line * lineBytes..<(line + 1) * lineBytes)
      var picked = target.part(line * width..<(line + 1) * width)
      var place = 0
      for index in sources {
        switch size {
        case 1: picked.set(source.uint8(at: Int(index)), at: place)
        case 2: picked.set(source.uint16(at: Int(index)), at: place)
        default: picked.set(source.uint32(at: Int(index)), at: place)
        }
        place += 1
      }
    }
  }

  private static func turn(
    _ source: RawSpan, _ size: Int, rows: Int, columns: Int, spacing: Int,
    into target: inout MutableRawSpan
  ) {
    switch size {
    case 1:
      Transpose.bytes(source, rows: rows, columns: columns, spacing: spacing, into: &target)
    case 2:
      Transpose.halves(source, rows: rows, columns: columns, spacing: spacing, into: &target)
    default:
      Transpose.words(source, rows: rows, columns: columns, spacing: spacing, into: &target)
    }
  }
}
