internal import TensorCore

/// Another order of the rows or columns of a matrix: line i of the reordered matrix is line
/// `sources[i]` of the one that is stored.
public struct Permutation: Sendable, Equatable {
  public let sources: [Int32]

  /// nil unless each of 0 ..< count is among the sources once. O(count).
  public init?(_ sources: [Int32]) {
    var seen = [Bool](repeating: false, count: sources.count)
    for source in sources {
      guard source >= 0, source < sources.count, !seen[Int(source)] else { return nil }
      seen[Int(source)] = true
    }
    self.sources = sources
  }

  private init(checked sources: [Int32]) {
    self.sources = sources
  }

  public var count: Int { sources.count }

  /// The order that undoes this one.
  public var inverse: Permutation {
    var places = [Int32](repeating: 0, count: count)
    for (place, source) in sources.enumerated() { places[Int(source)] = Int32(place) }
    return Permutation(checked: places)
  }
}

extension Permutation {
  /// Columns by their groups, those of one group in the order they have: what makes neighbours of the
  /// columns that share a scale.
  public init(sortingGroupsOf grouping: Grouping, columns: Int) {
    var members = [[Int32]](repeating: [], count: grouping.count(columns: columns))
    for column in 0..<columns { members[grouping.group(ofColumn: column)].append(Int32(column)) }
    self.init(checked: members.flatMap(\.self))
  }
}

extension Grouping {
  /// How the columns are grouped once they stand in another order: in runs of neighbours, where every group
  /// is one and only the last may be shorter, otherwise by a map.
  public func reordered(by permutation: Permutation, columns: Int) -> Grouping {
    let groups = permutation.sources.map { Int32(group(ofColumn: Int($0))) }
    let size = groups.firstIndex { $0 != groups[0] } ?? max(groups.count, 1)
    let areRuns = groups.indices.allSatisfy { Int(groups[$0]) == $0 / size }
    let count = count(columns: columns)
    return areRuns && count == groups.count.dividedRoundingUp(by: size)
      ? .columns(size: size) : .map(groups: groups, count: count)
  }
}
