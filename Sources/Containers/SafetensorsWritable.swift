internal import TensorCore

/// What may be written, so that every reader (ours first) reads it back.
enum SafetensorsWritable {
  /// One file: not too many tensors, fit to stand together. Throws `cannotRepresent`.
  static func check(file tensors: [TensorInfo], metadata: [String: String]) throws {
    let limit = SafetensorsLimits.standard.tensors
    guard tensors.count <= limit else {
      throw refusal(
        "too many tensors for one file", expected: "at most \(limit)", found: "\(tensors.count)",
        rule: "ST-17")
    }
    try checkUnique(tensors)
    for tensor in tensors { try check(tensor) }
    try check(metadata: metadata)
  }

  private static func check(metadata: [String: String]) throws {
    let limit = SafetensorsLimits.standard.headerBytes
    for (key, value) in metadata {
      guard key.utf8.count <= limit, value.utf8.count <= limit else {
        throw refusal("metadata too long", found: "\"\(key.prefix(64))\"", rule: "ST-2")
      }
      guard !key.utf8.contains(0), !value.utf8.contains(0) else {
        throw refusal("NUL in the metadata", found: "\"\(key)\"", rule: "JSON-17")
      }
    }
  }

  /// No two of one name, compared bytewise. O(n log n). Throws `cannotRepresent`.
  static func checkUnique(_ tensors: [TensorInfo]) throws {
    let names = tensors.map(\.name).sorted { $0.precedesBytewise($1) }
    for (one, next) in zip(names, names.dropFirst()) where one.equalsBytewise(next) {
      throw refusal("two tensors of one name", found: "\"\(one)\"", rule: "JSON-19")
    }
  }

  /// A name of legal length that is not reserved, a rank within the limit. Throws `cannotRepresent`.
  static func check(_ tensor: TensorInfo) throws {
    let limits = SafetensorsLimits.standard
    let name = tensor.name
    guard 1...limits.nameBytes ~= name.utf8.count, name != SafetensorsHeader.metadataKey else {
      throw refusal(
        "the tensor's name is empty, too long or reserved",
        expected: "1 … \(limits.nameBytes) bytes", found: "\"\(name.prefix(64))\"", rule: "ST-16")
    }
    guard !name.utf8.contains(0) else {
      throw refusal("NUL in a tensor's name", found: "\"\(name)\"", rule: "JSON-17")
    }
    guard tensor.shape.rank <= limits.rank else {
      throw refusal(
        "tensor \(tensor) has too many dimensions", expected: "at most \(limits.rank)",
        found: "\(tensor.shape.rank)", rule: "ST-15")
    }
  }

  static func tooLarge(_ info: TensorInfo) -> Failure {
    refusal("the file becomes larger than files can be", found: "\(info)", rule: "ST-12")
  }

  static func refusal(
    _ what: String, expected: String? = nil, found: String, rule: String
  ) -> Failure {
    Failure(.cannotRepresent, at: "", what, expected: expected, found: found, rule: rule)
  }
}
