internal import TensorCore

/// Every tensor of every opened file, and whether an index tells the same.
struct ShardCensus {
  /// A tensor and the file it stands in.
  private struct Resident {
    let tensor: Tensor
    let file: String
  }

  /// Sorted by tensor name bytewise; in the order of files where names are equal.
  private let residents: [Resident]
  private let fileNames: Set<String>

  init(files: [ShardedTensors.File]) {
    var all: [(resident: Resident, position: Int)] = []
    for file in files {
      for tensor in file.header.tensors {
        all.append((Resident(tensor: tensor, file: file.name), all.count))
      }
    }
    all.sort {
      let (left, right) = ($0.resident.tensor.name, $1.resident.tensor.name)
      return left.precedesBytewise(right)
        || $0.position < $1.position && left.equalsBytewise(right)
    }
    residents = all.map(\.resident)
    fileNames = Set(files.map(\.name))
  }

  /// SI-7: no name stands in two files.
  func checkUnique(problems: inout ShardProblems) throws {
    for (one, next) in zip(residents, residents.dropFirst())
    where one.tensor.name.equalsBytewise(next.tensor.name) {
      try problems.add(
        Failure(
          .malformed, at: next.tensor.place, "the tensor is also in another file",
          found: "\"\(one.file)\"", rule: "SI-7"))
    }
  }

  /// SI-5, SI-6 and SI-8.
  func check(against index: ShardIndex, problems: inout ShardProblems) throws {
    for entry in index.entries where fileNames.contains(entry.file) {
      let homes = files(of: entry.tensor)
      guard !homes.contains(entry.file) else { continue }
      try problems.add(
        Failure(
          .malformed, at: index.path,
          "tensor \"\(entry.tensor)\" is not in the shard that the index names",
          expected: "\"\(entry.file)\"", found: homes.first.map { "\"\($0)\"" } ?? "none",
          rule: "SI-5"))
    }
    for resident in residents where index[resident.tensor.name] == nil {
      try problems.add(
        Failure(
          .malformed, at: resident.tensor.place, "the tensor is not in the index", rule: "SI-6"))
    }
    if let failure = totalSizeFailure(index) { problems.note(failure) }
  }

  /// Each name once: of several, the one in the file the index names, else the first.
  func tensors(preferring index: ShardIndex?) -> [Tensor] {
    var chosen: [Resident] = []
    chosen.reserveCapacity(residents.count)
    for resident in residents {
      guard let last = chosen.last, last.tensor.name.equalsBytewise(resident.tensor.name) else {
        chosen.append(resident)
        continue
      }
      if index?[resident.tensor.name] == resident.file { chosen[chosen.count - 1] = resident }
    }
    return chosen.map(\.tensor)
  }

  private func files(of name: String) -> [String] {
    guard let first = residents.position(of: name, by: \.tensor.name) else { return [] }
    return residents[first...].prefix { $0.tensor.name.equalsBytewise(name) }.map(\.file)
  }

  /// SI-8. Sums are compared only where all shards could be opened.
  private func totalSizeFailure(_ index: ShardIndex) -> Failure? {
    guard let stated = index.totalSize, index.files.allSatisfy(fileNames.contains) else {
      return nil
    }
    var total = 0
    for resident in residents { total = total.adding(resident.tensor.byteCount) ?? Int.max }
    guard stated.wholeNumber != total else { return nil }
    return Failure(
      .malformed, at: index.path, "total_size is not the size of all tensors",
      expected: "\(total)", found: stated.text(), rule: "SI-8")
  }
}

extension JSON {
  /// A whole number, also where it is spelled `1e3` or `1000.0`, as some writers count in floats.
  fileprivate var wholeNumber: Int? { int ?? double.flatMap(Int.init(exactly:)) }
}
