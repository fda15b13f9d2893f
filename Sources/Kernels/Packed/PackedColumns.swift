import CKernels
internal import TensorCore

/// Where the columns of a matrix lie once it is packed: those of a group side by side, each group filled up
/// to a multiple of eight with columns whose input is 0.
struct PackedColumns: Sendable {
  /// Columns of the matrix.
  let count: Int
  /// Columns with those that fill groups up.
  let packedCount: Int
  /// The column at each packed place, -1 for filling; nil where columns stay where they are and all
  /// filling follows the last one.
  let order: [Int32]?
  /// The packed place of each column; empty where `order` is nil.
  let places: [Int32]
  /// The packed columns of each group.
  let widths: [Int]
  /// Runs of at most `longestPiece` columns of one group.
  let longPieces: [ck_packed_piece]

  /// The most columns whose products with 8-bit codes add up exactly in f32.
  static let longestPiece = 512
  static let unit = 8

  init(_ form: QuantizedForm) {
    count = form.columns
    let members = Self.members(of: form)
    widths = members.map { $0.count.dividedRoundingUp(by: Self.unit) * Self.unit }
    packedCount = widths.reduce(0, +)
    var order: [Int32] = []
    order.reserveCapacity(packedCount)
    for (columns, width) in zip(members, widths) {
      order += columns
      order += repeatElement(-1, count: width - columns.count)
    }
    let staysInPlace = order.indices.allSatisfy {
      order[$0] == ($0 < form.columns ? Int32($0) : -1)
    }
    self.order = staysInPlace ? nil : order
    var places = [Int32](repeating: 0, count: staysInPlace ? 0 : form.columns)
    if !staysInPlace {
      for (place, column) in order.enumerated() where column >= 0 {
        places[Int(column)] = Int32(place)
      }
    }
    self.places = places
    longPieces = Self.pieces(widths, of: Self.longestPiece)
  }

  /// The columns of each group, ascending.
  private static func members(of form: QuantizedForm) -> [[Int32]] {
    switch form.grouping {
    case .columns(let size):
      return stride(from: 0, to: form.columns, by: size).map { first in
        (first..<min(first + size, form.columns)).map { Int32($0) }
      }
    case .map(let groups, let count):
      var members = [[Int32]](repeating: [], count: count)
      for (column, group) in groups.enumerated() { members[Int(group)].append(Int32(column)) }
      return members
    }
  }

  /// Runs of at most `length` packed columns of one group, `length` rounded up to a multiple of eight.
  func pieces(of length: Int) -> [ck_packed_piece] {
    let rounded =
      min(max(length, 1), Self.longestPiece).dividedRoundingUp(by: Self.unit) * Self.unit
    return rounded == Self.longestPiece ? longPieces : Self.pieces(widths, of: rounded)
  }

  private static func pieces(_ widths: [Int], of length: Int) -> [ck_packed_piece] {
    widths.enumerated().flatMap { group, width in
      stride(from: 0, to: width, by: length).map { first in
        ck_packed_piece(columns: UInt32(min(length, width - first)), group: UInt32(group))
      }
    }
  }
}
