import CKernels
internal import Synchronization
internal import TensorCore

/// Reads a source in bands of whole tiles and repacks them.
struct PackedLoader: Sendable {
  let source: any WeightSource
  let form: QuantizedForm
  let grid: PackedGrid
  let columns: PackedColumns
  let threads: Int

  private static let tileRows = PackedMatrix.tileRows
  /// About the codes of one band, a byte each.
  private var bandSize: Int { Self.bandSize(threads: threads) }

  /// Bands of all threads together are no larger for more of them, down to a size that is still read fast.
  static func bandSize(threads: Int) -> Int { max((4 << 20) / threads, 512 << 10) }

  var tiles: Int { form.rows.dividedRoundingUp(by: Self.tileRows) }
  var tileByteCount: Int { Self.tileRows * columns.packedCount * grid.bits / 8 }
  private var hasOffsets: Bool { form.offset != .none }
  private var bandTiles: Int { max(1, bandSize / (form.columns * Self.tileRows)) }
  private var bands: Int { tiles.dividedRoundingUp(by: bandTiles) }

  /// The tiles of a band and the rows of the matrix among them.
  private func band(_ index: Int) -> (tiles: Range<Int>, rows: Range<Int>) {
    let tiles = index * bandTiles..<min((index + 1) * bandTiles, tiles)
    let end = min(tiles.upperBound * Self.tileRows, form.rows)
    return (tiles, tiles.lowerBound * Self.tileRows..<end)
  }

  /// The encodings of scales and of offsets. Reads both.
  func survey() throws -> (PackedParameters.Encoding, PackedParameters.Encoding) {
    let found = Mutex((PackedParameterSurvey(), PackedParameterSurvey()))
    try parallelBands(bands, threads: threads) { index, workspace in
      let rows = band(index).rows
      try workspace.lend(rows.count * form.groups * 4) { values in
        var scales = PackedParameterSurvey()
        var offsets = PackedParameterSurvey()
        try source.readScales(rows, into: &values, workspace)
        try scales.add(values.bytes, workspace)
        if hasOffsets {
          try source.readOffsets(rows, into: &values, workspace)
          try offsets.add(values.bytes, workspace)
        }
        found.withLock {
          $0.0.merge(scales)
          $0.1.merge(offsets)
        }
      }
    }
    let surveys = found.withLock { $0 }
    let none = PackedParameters.Encoding.uniform(grid.zero)
    return (
      surveys.0.encoding(isScale: true), hasOffsets ? surveys.1.encoding(isScale: false) : none
    )
  }

  /// Fills all three.
  func load(
    _ codes: inout AlignedBytes, _ scales: inout PackedParameters,
    _ offsets: inout PackedParameters
  ) throws {
    let (scaleSize, offsetSize) = (scales.tileByteCount, offsets.tileByteCount)
    let (scaleEncoding, offsetEncoding) = (scales.encoding, offsets.encoding)
    var codeBytes = codes.mutableBytes
    var scaleBytes = scales.bytes.mutableBytes
    var offsetBytes = offsets.bytes.mutableBytes
    // SAFETY: bands are disjoint, each is written by one thread, and all are done before the three
    // are used again.
    let target = unsafe Target(
      codes: codeBytes.withUnsafeMutableBytes { unsafe $0 },
      scales: scaleBytes.withUnsafeMutableBytes { unsafe $0 },
      offsets: offsetBytes.withUnsafeMutableBytes { unsafe $0 })
    try parallelBands(bands, threads: threads) { index, workspace in
      let (tiles, rows) = band(index)
      try loadCodes(tiles, rows, target, workspace)
      try workspace.lend(rows.count * form.groups * 4) { values in
        try source.readScales(rows, into: &values, workspace)
        try store(values.bytes, tiles, rows, scaleEncoding, workspace) { tile, bytes in
          var part = unsafe UnsafeMutableRawBufferPointer(
            rebasing: target.scales[tile * scaleSize..<(tile + 1) * scaleSize]
          ).mutableBytes
          part.copy(from: bytes)
        }
        guard offsetSize > 0 else { return }
        try source.readOffsets(rows, into: &values, workspace)
        try store(values.bytes, tiles, rows, offsetEncoding, workspace) { tile, bytes in
          var part = unsafe UnsafeMutableRawBufferPointer(
            rebasing: target.offsets[tile * offsetSize..<(tile + 1) * offsetSize]
          ).mutableBytes
          part.copy(from: bytes)
        }
      }
    }
  }

  @safe
  private struct Target: @unchecked Sendable {
    let codes: UnsafeMutableRawBufferPointer
    let scales: UnsafeMutableRawBufferPointer
    let offsets: UnsafeMutableRawBufferPointer
  }

  private func loadCodes(
    _ tiles: Range<Int>, _ rows: Range<Int>, _ target: Target, _ workspace: Workspace
  ) throws {
    let width = form.columns
    try workspace.lend(rows.count * width) { codes in
      try source.readCodes(rows, into: &codes, workspace)
      if grid.mask != 255 { Bytes.shift(&codes, adding: 0, mask: grid.mask) }
      workspace.lend(columns.packedCount) { packed in
        Bytes.fill(&packed, with: 0)
        for row in 0..<rows.count {
          arrange(codes.bytes.part(row * width..<(row + 1) * width), into: &packed)
          let tile = tiles.lowerBound + row / Self.tileRows
          // SAFETY: the row has as many packed columns as a row of the tile.
          unsafe lend(packed.bytes) { from, count in
            unsafe ck_packed_store(
              from.assumingMemoryBound(to: UInt8.self), count, UInt32(grid.bits),
              UInt32(grid.shift), row % Self.tileRows,
              target.codes.baseAddress.map { unsafe $0 + tile * tileByteCount })
          }
        }
      }
    }
  }

  /// Codes of one row in packed order.
  private func arrange(_ codes: RawSpan, into packed: inout MutableRawSpan) {
    guard let order = columns.order else {
      var part = packed.part(0..<codes.byteCount)
      return part.copy(from: codes)
    }
    for (place, column) in order.enumerated() where column >= 0 {
      packed.set(codes.uint8(at: Int(column)), at: place)
    }
  }

  /// Parameters f32 `[rows][groups]`, turned for each tile and encoded; rows that fill up the last tile are 0.
  private func store(
    _ values: RawSpan, _ tiles: Range<Int>, _ rows: Range<Int>,
    _ encoding: PackedParameters.Encoding, _ workspace: Workspace,
    _ body: (_ tile: Int, _ bytes: RawSpan) -> Void
  ) throws {
    let (high, groups) = (Self.tileRows, form.groups)
    try workspace.lend(high * groups * 4) { full in
      try workspace.lend(high * groups * 4) { turned in
        try workspace.lend(high * groups * encoding.byteCount) { encoded in
          for (position, tile) in tiles.enumerated() {
            let count = min(high, rows.count - position * high) * groups * 4
            let first = position * high * groups * 4
            if count < full.byteCount { Bytes.fill(&full, with: 0) }
            var part = full.part(0..<count)
            part.copy(from: values.part(first..<first + count))
            Transpose.words(full.bytes, rows: high, columns: groups, into: &turned)
            try PackedParameters.encode(encoding, turned.bytes, into: &encoded)
            body(tile, encoded.bytes)
          }
        }
      }
    }
  }
}
