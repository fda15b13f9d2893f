internal import TensorCore

/// Every tensor of every opened file, and whether an index tells the same.
struct ShardCensus {
  /// Sorted by name bytewise; in the order of files where names are equal.
  private let tensors: [Tensor]
  /// For each of `tensors`, the position of its file in `files`.
  private let homes: [Int]
  private let files: [String]

  init(files: [ShardedTensors.File]) {
    let all = files.flatMap(\.header.tensors)
    let homes = files.indices.flatMap { file in
      repeatElement(file, count: files[file].header.tensors.count)
    }
    let names = all.map(\.name)
    let order = names.indices.sorted { left, right in
      names[left].precedesBytewise(names[right])
        || left < right && names[left].equalsBytewise(names[right])
    }
    tensors = order.map { all[$0] }
    self.homes = order.map { homes[$0] }
    self.files = files.map(\.name)
  }

  /// SI-7: no name stands in two files.
  func checkUnique(problems: inout ShardProblems) throws {
    for position in tensors.indices.dropFirst() where isRepeat(position) {
      try problems.add(
        Failure(
          .malformed, at: tensors[position].place, "the tensor is also in another file",
          found: "\"\(files[homes[position - 1]])\"", rule: "SI-7"))
    }
  }

  /// SI-5, SI-6 and SI-8: one walk along both lists, which are sorted alike. O(n).
  func check(against index: ShardIndex, problems: inout ShardProblems) throws {
    let numbers = Dictionary(uniqueKeysWithValues: files.enumerated().map { ($1, $0) })
    var position = 0
    for entry in index.entries {
      while position < tensors.count, tensors[position].name.precedesBytewise(entry.tensor) {
        try problems.add(unindexed(position))
        position += 1
      }
      let first = position
      while position < tensors.count, tensors[position].name.equalsBytewise(entry.tensor) {
        position += 1
      }
      if let file = numbers[entry.file], !homes[first..<position].contains(file) {
        let found = first == position ? nil : files[homes[first]]
        try problems.add(misplaced(entry, found: found, by: index))
      }
    }
    for unseen in position..<tensors.count { try problems.add(unindexed(unseen)) }
    if let failure = totalSizeFailure(index) { problems.note(failure) }
  }

  /// Each name once: of several, the one in the file the index names, else the first.
  func tensors(preferring index: ShardIndex?) -> [Tensor] {
    guard tensors.indices.dropFirst().contains(where: isRepeat) else { return tensors }
    var chosen: [Tensor] = []
    for (position, tensor) in tensors.enumerated() {
      if position == 0 || !isRepeat(position) {
        chosen.append(tensor)
      } else if index?[tensor.name] == files[homes[position]] {
        chosen[chosen.count - 1] = tensor
      }
    }
    return chosen
  }

  private func isRepeat(_ position: Int) -> Bool {
    tensors[position].name.equalsBytewise(tensors[position - 1].name)
  }

  private func unindexed(_ position: Int) -> Failure {
    Failure(
      .malformed, at: tensors[position].place, "the tensor is not in the index", rule: "SI-6")
  }

  private func misplaced(
    _ entry: ShardIndex.Entry, found file: String?, by index: ShardIndex
  ) -> Failure {
    Failure(
      .malformed, at: index.path,
      "tensor \"\(entry.tensor)\" is not in the shard that the index names",
      expected: "\"\(entry.file)\"", found: file.map { "\"\($0)\"" } ?? "none", rule: "SI-5")
  }

  /// SI-8. Sums are compared only where all shards could be opened.
  private func totalSizeFailure(_ index: ShardIndex) -> Failure? {
    guard let stated = index.totalSize, index.files.allSatisfy(files.contains) else { return nil }
    var total = 0
    for tensor in tensors { total = total.adding(tensor.byteCount) ?? Int.max }
    guard index.totalBytes != total else { return nil }
    return Failure(
      .malformed, at: index.path, "total_size is not the size of all tensors",
      expected: "\(total)", found: stated.text(), rule: "SI-8")
  }
}
