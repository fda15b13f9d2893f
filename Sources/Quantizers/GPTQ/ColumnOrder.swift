/// The order in which columns are rounded, and the group of each.
struct ColumnOrder {
  /// `columns[i]` is the column rounded as the i-th.
  let columns: [Int]
  /// The group of the i-th, as the matrix numbers groups.
  let groups: [UInt32]
  /// The group of each column by its place in the weight, where groups are not runs of neighbours.
  let map: [Int32]?

  /// `diagonal` is the Hessian's, 1 for dead columns; ties keep their order.
  init(_ order: GPTQuantizer.Order, diagonal: [Float], groupSize: Int, isStatic: Bool) {
    let count = diagonal.count
    switch order {
    case .stored: columns = Array(0..<count)
    case .descending: columns = Self.descending(0..<count, diagonal)
    case .groupAware: columns = Self.groupAware(diagonal, groupSize)
    }
    guard order == .descending, !isStatic, groupSize < count else {
      groups = columns.map { UInt32($0 / groupSize) }
      map = nil
      return
    }
    groups = (0..<count).map { UInt32($0 / groupSize) }
    var map = [Int32](repeating: 0, count: count)
    for (place, column) in columns.enumerated() { map[column] = Int32(place / groupSize) }
    self.map = map
  }

  private static func descending(_ range: Range<Int>, _ diagonal: [Float]) -> [Int] {
    range.sorted { (-diagonal[$0], $0) < (-diagonal[$1], $1) }
  }

  /// Columns that do not fill a group stay last, in their order.
  private static func groupAware(_ diagonal: [Float], _ size: Int) -> [Int] {
    let whole = diagonal.count / size
    let groups = (0..<whole).map { descending($0 * size..<($0 + 1) * size, diagonal) }
    let largest = groups.map { diagonal[$0[0]] }
    return descending(0..<whole, largest).flatMap { groups[$0] }
      + Array(whole * size..<diagonal.count)
  }
}
