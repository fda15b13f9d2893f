internal import TensorCore

/// What may be packed, so that every reader reads it back.
enum PackedQuantWritable {
  /// Throws `cannotRepresent`.
  static func check(_ sources: [PackedQuantSource]) throws {
    for (source, next) in zip(sources, sources.dropFirst())
    where source.path.equalsBytewise(next.path) {
      throw refusal("two files of one path", next.path, 15)
    }
    for source in sources {
      guard !source.path.isEmpty, PackedQuantPath.isSafe(source.path) else {
        throw refusal("a path that is not fit for every system", source.path, 14)
      }
      for tensor in source.blobs.compactMap(\.tensor) {
        guard 1...PackedQuant.Limits.nameBytes ~= tensor.name.utf8.count,
          !tensor.name.utf8.contains(0)
        else { throw refusal("the name of a tensor", tensor.name, 13) }
      }
    }
  }

  private static func refusal(_ what: String, _ found: String, _ rule: Int) -> Failure {
    PackedQuant.failure(what, at: "", found: "\"\(found.prefix(80))\"", rule, .cannotRepresent)
  }
}
