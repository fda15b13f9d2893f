import Containers
import TensorCore

/// Tensors that stand in several files: where all copies are the same, one stays.
struct Twins {
  /// A file with the tensors that stay in it.
  struct File {
    var name: String
    let header: SalvagedHeader
    var tensors: [Tensor]
    /// Whether tensors were taken out.
    var isThinned: Bool { tensors.count < header.tensors.count }
  }

  private(set) var files: [File]
  private(set) var mends: [Mend] = []

  /// Compares the bytes of all copies. Throws `malformed` (SI-7) where they differ, `io`.
  init(_ source: SalvagedShards, threads: Int) throws {
    files = source.files.map {
      File(name: $0.name, header: $0.header, tensors: $0.header.tensors)
    }
    let surplus = Self.surplus(source)
    let differing = try TensorComparer(
      pairs: surplus.map { (a: $0.kept, b: $0.tensor) }, threads: threads
    ).run()
    if let first = differing.first {
      throw Failure(
        .malformed, at: surplus[first].tensor.place,
        "the tensor is also in another file, and not the same there",
        found: "\"\(surplus[first].kept.source.path.fileName)\"",
        rule: "SI-7", details: differing.map { surplus[$0].tensor.place })
    }
    for (kept, tensor, file) in surplus {
      files[file].tensors.removeAll { $0.offset == tensor.offset && $0.isNamed(tensor.name) }
      mends.append(
        Mend(
          at: tensor.place,
          "a second copy, equal to that in \"\(kept.source.path.fileName)\", dropped", rule: "SI-7")
      )
    }
  }

  /// Every copy but the one that stays: that in the file the index names, or else the first.
  private static func surplus(
    _ source: SalvagedShards
  ) -> [(kept: Tensor, tensor: Tensor, file: Int)] {
    let all = source.files.enumerated().flatMap { file, content in
      content.header.tensors.map { (tensor: $0, file: file) }
    }.sorted {
      $0.tensor.name.utf8.elementsEqual($1.tensor.name.utf8)
        ? $0.file < $1.file
        : $0.tensor.name.utf8.lexicographicallyPrecedes($1.tensor.name.utf8)
    }
    var surplus: [(kept: Tensor, tensor: Tensor, file: Int)] = []
    var start = 0
    while start < all.count {
      let name = all[start].tensor.name
      let end = all[start...].firstIndex { !$0.tensor.isNamed(name) } ?? all.count
      let home = source.index?[name]
      let kept = all[start..<end].first { source.files[$0.file].name == home } ?? all[start]
      for copy in all[start..<end] where copy.file != kept.file {
        surplus.append((kept.tensor, copy.tensor, copy.file))
      }
      start = end
    }
    return surplus
  }
}

extension Tensor {
  fileprivate func isNamed(_ name: String) -> Bool { self.name.utf8.elementsEqual(name.utf8) }
}
