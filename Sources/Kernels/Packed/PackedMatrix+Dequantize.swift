import CKernels
internal import TensorCore

extension PackedMatrix {
  /// Weights of a rectangle in f32, `[rows][columns]`, each as `QuantizedMatrix.weight` gives it.
  ///
  /// On the calling thread. Fastest where rows begin at multiples of 32 and columns lie between
  /// multiples of 512 and of the group; rows of act-order weights are made whole each time. Traps
  /// where ranges or lengths do not fit.
  public func dequantize(
    rows: Range<Int>, columns: Range<Int>, into values: inout MutableRawSpan,
    _ workspace: Workspace = Workspace(), on level: Processor.Level = .best
  ) {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= self.rows)
    precondition(columns.lowerBound >= 0 && columns.upperBound <= self.columns)
    precondition(values.byteCount == rows.count * columns.count * 4)
    guard !rows.isEmpty, !columns.isEmpty else { return }
    let cut = PackedCut(columns, columnOrder)
    var row = rows.lowerBound
    while row < rows.upperBound {
      let tile = row / Self.tileRows
      let end = min((tile + 1) * Self.tileRows, rows.upperBound)
      let size = columns.count * 4
      var part = values.part((row - rows.lowerBound) * size..<(end - rows.lowerBound) * size)
      let inTile = row - tile * Self.tileRows..<end - tile * Self.tileRows
      dequantize(tile, inTile, cut, columns, into: &part, workspace, on: level)
      row = end
    }
  }

  private func dequantize(
    _ tile: Int, _ rows: Range<Int>, _ cut: PackedCut, _ columns: Range<Int>,
    into values: inout MutableRawSpan, _ workspace: Workspace, on level: Processor.Level
  ) {
    let size = columns.count * 4
    workspace.lend(cut.places.count * 4) { scratch in
      unsafe withTile(tile, cut.groups, cut.pieces, for: .weights, workspace, on: level) { tile in
        // SAFETY: the cut begins at a block of the tile, and rows of it have as many weights as the
        // scratch, or as the target where it has no others.
        unsafe tile.codes = tile.codes.map {
          unsafe $0 + cut.places.lowerBound * Self.tileRows * grid.bits / 8
        }
        for (position, row) in rows.enumerated() {
          var part = values.part(position * size..<(position + 1) * size)
          if columnOrder.order == nil && cut.places == columns {
            unsafe part.withUnsafeMutableBytes {
              unsafe level.kernels.pointee.packed_row(
                &tile, row, $0.assumingMemoryBound(to: Float.self).baseAddress)
            }
          } else {
            unsafe scratch.withUnsafeMutableBytes {
              unsafe level.kernels.pointee.packed_row(
                &tile, row, $0.assumingMemoryBound(to: Float.self).baseAddress)
            }
            pick(columns, cut, scratch.bytes, into: &part)
          }
        }
      }
    }
  }

  /// The columns wanted, of those the pieces cover.
  private func pick(
    _ columns: Range<Int>, _ cut: PackedCut, _ row: RawSpan, into target: inout MutableRawSpan
  ) {
    guard columnOrder.order != nil else {
      let first = columns.lowerBound - cut.places.lowerBound
      return target.copy(from: row.part(first * 4..<(first + columns.count) * 4))
    }
    for (position, column) in columns.enumerated() {
      target.set(row.uint32(at: Int(columnOrder.places[column])), at: position)
    }
  }
}

/// The pieces that cover a range of columns: all where columns are in another order.
struct PackedCut {
  let pieces: [ck_packed_piece]
  /// The packed places of their columns.
  let places: Range<Int>
  /// The groups of their columns.
  let groups: Range<Int>

  init(_ columns: Range<Int>, _ order: PackedColumns) {
    var first = 0
    var places = 0..<0
    var pieces: [ck_packed_piece] = []
    for piece in order.longPieces {
      let next = first + Int(piece.columns)
      if order.order != nil || (next > columns.lowerBound && first < columns.upperBound) {
        if pieces.isEmpty { places = first..<next }
        places = places.lowerBound..<next
        pieces.append(piece)
      }
      first = next
    }
    self.pieces = pieces
    self.places = places
    groups = Int(pieces.first?.group ?? 0)..<Int(pieces.last?.group ?? 0) + 1
  }
}
