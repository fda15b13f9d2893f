internal import TensorCore

extension Manifest {
  /// Room for 500 000 tensors, far above every published checkpoint.
  private static let limits = JSONLimits(
    maxBytes: 256_000_000, maxMembers: 6_000_000, maxObjects: 600_000)

  /// Bytes of the largest manifest that is read.
  static let limit = limits.maxBytes

  /// Reads a manifest from a file. Throws `malformed` with MAN-1 … MAN-6 or a JSON rule,
  /// `unsupported` where it is of a later version, `io`.
  public init(path: String) throws {
    try self.init(
      parsing: FileSystem.contents(of: path, limit: Self.limits.maxBytes), at: path)
  }

  /// Reads a manifest that anybody may have written.
  public init(parsing bytes: [UInt8], at place: String) throws {
    let top = try JSON(parsing: bytes, at: place, limits: Self.limits)
    guard let version = top["nibble_manifest"]?.int else {
      throw Failure(
        .malformed, at: place, "not a manifest", expected: "an object with \"nibble_manifest\"",
        rule: "MAN-1")
    }
    guard version == Self.version else {
      throw Failure(
        .unsupported, at: place, "a manifest of another version", expected: "\(Self.version)",
        found: "\(version)", rule: "MAN-1")
    }
    let reader = ManifestReader(place: place)
    let fields = try reader.fields(
      of: top, ["nibble_manifest", "writer", "source", "options", "files", "tensors"], "the top")
    writer = try reader.string(fields[1], "writer")
    source = fields[2].isNull ? nil : try reader.source(fields[2])
    options = fields[3].isNull ? nil : try reader.object(fields[3], "options")
    files = try reader.files(fields[4])
    tensors = try reader.tensors(fields[5], in: files)
  }
}

/// Takes a manifest apart; every broken rule is a failure.
private struct ManifestReader {
  let place: String

  func failure(
    _ what: String, expected: String, found: String? = nil, rule: String
  ) -> Failure {
    Failure(
      .malformed, at: place, what, expected: expected,
      found: found.map { $0.count > 80 ? $0.prefix(80) + "…" : $0 }, rule: rule)
  }

  /// The values of exactly these keys, in this order (MAN-2).
  func fields(of value: JSON, _ keys: [String], _ what: String) throws -> [JSON] {
    guard let object = value.object, object.members.count == keys.count else {
      throw failure(
        "fields of \(what)", expected: keys.joined(separator: ", "), found: value.text(),
        rule: "MAN-2")
    }
    return try keys.map { key in
      guard let field = object[key] else {
        throw failure("fields of \(what)", expected: "\"\(key)\"", rule: "MAN-2")
      }
      return field
    }
  }

  func string(_ value: JSON, _ what: String) throws -> String {
    guard let string = value.string else {
      throw failure(what, expected: "a string", found: value.text(), rule: "MAN-2")
    }
    return string
  }

  func object(_ value: JSON, _ what: String) throws -> JSONObject {
    guard let object = value.object else {
      throw failure(what, expected: "an object", found: value.text(), rule: "MAN-2")
    }
    return object
  }

  /// MAN-3: no path leads out of the folder.
  func path(_ text: String) throws -> String {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard !text.isEmpty, text.utf8.count <= 4096,
      !parts.contains(where: { ["", ".", ".."].contains($0) })
    else {
      throw failure(
        "a file's path", expected: "names below the folder", found: "\"\(text)\"", rule: "MAN-3")
    }
    return text
  }

  func byteCount(_ value: JSON, _ what: String) throws -> Int {
    guard let count = value.int, count >= 0 else {
      throw failure(
        "bytes of \"\(what)\"", expected: "a whole number", found: value.text(), rule: "MAN-4")
    }
    return count
  }

  func digest(_ value: JSON, _ what: String) throws -> String {
    guard let text = value.string, text.utf8.count == 64,
      text.utf8.allSatisfy({ 48...57 ~= $0 || 97...102 ~= $0 })
    else {
      throw failure(
        "the digest of \"\(what)\"", expected: "64 hexadecimal digits in lower case",
        found: value.text(), rule: "MAN-4")
    }
    return text
  }

  func source(_ value: JSON) throws -> Manifest.Source {
    let fields = try fields(of: value, ["name", "revision", "files"], "source")
    return Manifest.Source(
      name: try string(fields[0], "the source's name"),
      revision: fields[1].isNull ? nil : try string(fields[1], "the source's revision"),
      files: try object(fields[2], "the source's files").members.map {
        ($0.key, try byteCount($0.value, $0.key))
      })
  }

  func files(_ value: JSON) throws -> [Manifest.File] {
    try object(value, "files").members.map { member in
      let key = member.value["header_sha256"] == nil ? "sha256" : "header_sha256"
      let fields = try fields(of: member.value, ["bytes", key], "\"\(member.key)\"")
      return Manifest.File(
        path: try path(member.key), byteCount: try byteCount(fields[0], member.key),
        holdsTensors: key == "header_sha256", digest: try digest(fields[1], member.key))
    }.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
  }

  func tensors(_ value: JSON, in files: [Manifest.File]) throws -> [Manifest.Entry] {
    let homes = Set(files.filter(\.holdsTensors).map(\.path))
    return try object(value, "tensors").members.map { member in
      let fields = try fields(
        of: member.value, ["dtype", "shape", "file", "sha256"], "\"\(member.key)\"")
      let file = try string(fields[2], "the file of \"\(member.key)\"")
      guard homes.contains(file) else {
        throw failure(
          "the file of \"\(member.key)\"", expected: "a file that holds tensors",
          found: "\"\(file)\"", rule: "MAN-6")
      }
      return Manifest.Entry(
        info: try info(member.key, fields[0], fields[1]), file: file,
        digest: try digest(fields[3], member.key))
    }.sorted { $0.info.name.utf8.lexicographicallyPrecedes($1.info.name.utf8) }
  }

  func info(_ name: String, _ dtype: JSON, _ shape: JSON) throws -> TensorInfo {
    let dimensions = shape.array?.compactMap(\.int)
    guard let type = dtype.string.flatMap(DType.init(rawValue:)), let dimensions,
      dimensions.count == shape.array?.count, let shape = Shape(dimensions),
      let info = TensorInfo(name: name, dtype: type, shape: shape)
    else {
      throw failure(
        "dtype and shape of \"\(name)\"", expected: "those of a tensor",
        found: "\(dtype.text()) \(shape.text())", rule: "MAN-5")
    }
    return info
  }
}
