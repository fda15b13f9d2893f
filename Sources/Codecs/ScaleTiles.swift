import TensorCore

/// How a matrix is cut into tiles that share a scale: `rows` × `columns` elements each, the last of
/// a row or column possibly smaller.
struct ScaleTiles: Sendable, Equatable {
  let rows: Int
  let columns: Int
  /// Tiles down and across the matrix.
  let down: Int
  let across: Int

  /// Reads the shape of the scales of one matrix: `[]` or `[1]` for one scale, `[rows]` for one a
  /// row, else `[down, across]`. `block` is the size of tiles where the config names it.
  ///
  /// nil where the shape cuts the matrix into no equal tiles.
  init?(_ shape: [Int], matrix: (rows: Int, columns: Int), block: (rows: Int, columns: Int)?) {
    let grid: [Int]
    switch shape.count {
    case 0: grid = [1, 1]
    case 1: grid = [shape[0], 1]
    case 2: grid = shape
    default: return nil
    }
    guard let rows = Self.side(matrix.rows, tiles: grid[0], block: block?.rows),
      let columns = Self.side(matrix.columns, tiles: grid[1], block: block?.columns)
    else { return nil }
    (self.rows, self.columns) = (rows, columns)
    (down, across) = (grid[0], grid[1])
  }

  /// The side of tiles, `tiles` of which cover `count`: the named one, 128, or an equal part.
  private static func side(_ count: Int, tiles: Int, block: Int?) -> Int? {
    guard tiles > 0, tiles <= count else { return nil }
    if tiles == 1 { return count }
    for side in [block, 128].compactMap(\.self) where side > 0 {
      if count.dividedRoundingUp(by: side) == tiles { return side }
    }
    return count % tiles == 0 ? count / tiles : nil
  }
}
