import Kernels
import TensorCore

/// An HQQ layer open for reading: flat runs of codes.
struct HQQLayer: PackedLayer {
  let claim: LayerClaim
  let form: QuantizedForm
  let order = Order.outputMajor
  private let facts: HQQFacts

  init(_ claim: LayerClaim, _ facts: HQQFacts) {
    self.claim = claim
    self.facts = facts
    form = QuantizedForm(
      rows: facts.rows, columns: facts.columns, grid: .affine(bits: facts.bits),
      grouping: .columns(size: facts.span.columns), scaleType: facts.scale.dtype,
      offset: .real(facts.zero.dtype))
  }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try turnCodes(region, order, into: &codes, workspace) {
      try readRows(region, into: &$0, workspace)
    }
  }

  /// Whole rows are one run of flat codes, parts of rows a run each.
  private func readRows(
    _ region: Region, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let columns = facts.columns
    if region.columns.count == columns {
      let start = region.rows.lowerBound * columns
      return try readRun(start..<start + region.count, into: &codes, workspace)
    }
    let width = region.columns.count
    for (position, row) in region.rows.enumerated() {
      let start = row * columns + region.columns.lowerBound
      var part = codes.part(position * width..<(position + 1) * width)
      try readRun(start..<start + width, into: &part, workspace)
    }
  }

  /// HQQ-3: flat code f is in slice f / words, in word f mod words.
  private func readRun(
    _ run: Range<Int>, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    var start = run.lowerBound
    while start < run.upperBound {
      let slice = start / facts.words
      let end = min(run.upperBound, (slice + 1) * facts.words)
      let first = start - slice * facts.words
      var part = codes.part(start - run.lowerBound..<end - run.lowerBound)
      try readSlice(slice, first..<first + end - start, into: &part, workspace)
      start = end
    }
  }

  private func readSlice(
    _ slice: Int, _ words: Range<Int>, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let packing = facts.packing
    let down = packing.down(slice: slice)
    let size = packing.wordBytes
    try workspace.lend(words.count * size) { packed in
      try facts.codes.read(into: &packed, at: words.lowerBound * size)
      guard size == 4 else {
        let mask = UInt8(1 << packing.fieldBits - 1)
        return Bytes.extract(packed.bytes, down: down, mask: mask, into: &codes)
      }
      for index in 0..<words.count {
        let field = packed.bytes.uint32(at: index) >> UInt32(down) & 7
        codes.set(UInt8(truncatingIfNeeded: field), at: index)
      }
    }
  }

  func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try readParameters(of: facts.scale, region, order, into: &scales, workspace)
  }

  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try readParameters(of: facts.zero, region, order, into: &offsets, workspace)
  }

  private func readParameters(
    of tensor: Tensor, _ region: Region, _ order: Order, into values: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws {
    let size = tensor.dtype.bits / 8
    try workspace.lend(region.count * size) { rows in
      for (position, row) in region.rows.enumerated() {
        let width = region.columns.count * size
        var part = rows.part(position * width..<(position + 1) * width)
        switch facts.span {
        case .neighbours(let group, let columns):
          try readNeighbours(
            of: tensor, row: row, region.columns, group: group, columns: columns, into: &part,
            workspace)
        case .strided(let stride, _):
          try Self.readStrided(
            of: tensor, from: row * facts.columns + region.columns.lowerBound, stride: stride,
            into: &part)
        }
      }
      rows.moveRows(into: &values, region, order, size: size)
    }
  }

  /// Groups of `columns` columns of one row, each within one group of `group` flat neighbours.
  private func readNeighbours(
    of tensor: Tensor, row: Int, _ groups: Range<Int>, group: Int, columns: Int,
    into values: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let size = tensor.dtype.bits / 8
    func flat(_ index: Int) -> Int { (row * facts.columns + index * columns) / group }
    let first = flat(groups.lowerBound)
    let count = flat(groups.upperBound - 1) - first + 1
    if count == groups.count { return try tensor.read(into: &values, at: first * size) }
    try workspace.lend(count * size) { stored in
      try tensor.read(into: &stored, at: first * size)
      for (position, index) in groups.enumerated() {
        let source = (flat(index) - first) * size
        var target = values.part(position * size..<(position + 1) * size)
        target.copy(from: stored.bytes.part(source..<source + size))
      }
    }
  }

  /// Parameters of flat neighbours: they run through all `stride` of them and begin again.
  private static func readStrided(
    of tensor: Tensor, from flat: Int, stride: Int, into values: inout MutableRawSpan
  ) throws {
    let size = tensor.dtype.bits / 8
    let count = values.byteCount / size
    var done = 0
    while done < count {
      let first = (flat + done) % stride
      let run = min(count - done, stride - first)
      var part = values.part(done * size..<(done + run) * size)
      try tensor.read(into: &part, at: first * size)
      done += run
    }
  }
}
