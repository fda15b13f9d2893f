internal import TensorCore

extension PackedQuantDirectory {
  /// Reads a directory whose regions fill the container from its header to `end`. O(directory), and
  /// takes memory in proportion to it. Throws `malformed` or `unsupported` with a PQ rule.
  init(parsing bytes: [UInt8], end: Int, at place: String) throws {
    var reader = PackedBytesReader(bytes, at: place)
    writer = try reader.string("writer", 0...PackedQuant.Limits.nameBytes)
    var position = PackedQuant.headerBytes
    var files: [File] = []
    for _ in 0..<(try reader.count(of: "files", each: 36)) {
      let file = try File(from: &reader, &position)
      if let last = files.last { try Self.checkOrder(last.path, file.path, reader) }
      files.append(file)
    }
    self.files = files
    try Self.checkFolders(files, reader)
    guard position == end else {
      throw reader.failure(
        "bytes between the last chunk and the directory", expected: "end at \(end)",
        found: "\(position)", 22)
    }
    let tensors = files.reduce(0) { $0 + $1.blobs.count { $0.tensor != nil } }
    var layers: [Layer] = []
    for _ in 0..<(try reader.count(of: "layers", each: 7)) {
      let layer = try Layer(from: &reader, tensors: tensors)
      guard layers.last?.name.precedesBytewise(layer.name) ?? true else {
        throw reader.failure("layers out of order, or twice", found: "\"\(layer.name)\"", 30)
      }
      layers.append(layer)
    }
    self.layers = layers
    try Self.skipExtensions(&reader)
    guard reader.left == 0 else {
      throw reader.failure("bytes are left over", found: "\(reader.left)", 11)
    }
  }

  /// PQ-15.
  private static func checkOrder(_ last: String, _ path: String, _ reader: PackedBytesReader) throws
  {
    guard last.precedesBytewise(path) else {
      let what = last.equalsBytewise(path) ? "two files of one path" : "files out of order"
      throw reader.failure(what, found: "\"\(path)\"", 15)
    }
  }

  private static func checkFolders(_ files: [File], _ reader: PackedBytesReader) throws {
    let paths = Set(files.map { Array($0.path.utf8) })
    for file in files {
      let bytes = Array(file.path.utf8)
      for slash in bytes.indices where bytes[slash] == UInt8(ascii: "/") {
        guard !paths.contains(Array(bytes[..<slash])) else {
          throw reader.failure(
            "a file is also a folder", found: "\"\(file.path)\" and its folder", 15)
        }
      }
    }
  }

  /// PQ-31: unknown ones are skipped, unless a reader must know them.
  private static func skipExtensions(_ reader: inout PackedBytesReader) throws {
    var last: Int?
    for _ in 0..<(try reader.count(of: "extensions", each: 3)) {
      let tag = try reader.number()
      guard last.map({ $0 < tag }) ?? true else {
        throw reader.failure("extensions out of order, or twice", found: "tag \(tag)", 31)
      }
      last = tag
      let flags = try reader.byte()
      guard flags == 0 else {
        throw reader.failure(
          "an extension that this version does not know", found: "tag \(tag)", 31, .unsupported)
      }
      _ = try reader.take(reader.number())
    }
  }
}

extension PackedQuantDirectory.File {
  fileprivate init(from reader: inout PackedBytesReader, _ position: inout Int) throws {
    path = try reader.string("path", 1...PackedQuant.Limits.pathBytes)
    guard PackedQuantPath.isSafe(path) else {
      throw reader.failure(
        "a path that could reach out of the folder", expected: "a relative path of plain names",
        found: "\"\(path)\"", 14)
    }
    byteCount = try reader.number()
    digest = try reader.take(32)
    var blobs: [PackedQuantDirectory.Blob] = []
    var names: Set<[UInt8]> = []
    var sum = 0
    for _ in 0..<(try reader.count(of: "blobs", each: 37)) {
      let blob = try PackedQuantDirectory.Blob(from: &reader, &position)
      if let name = blob.tensor?.name, !names.insert(Array(name.utf8)).inserted {
        throw reader.failure("two tensors of one name", found: "\"\(name)\" in \"\(path)\"", 16)
      }
      guard let next = sum.adding(blob.byteCount) else {
        throw reader.failure("the sizes of blobs overflow", found: "\"\(path)\"", 17)
      }
      sum = next
      blobs.append(blob)
    }
    guard sum == byteCount else {
      throw reader.failure(
        "the size of \"\(path)\"", expected: "\(sum), the sum of its blobs", found: "\(byteCount)",
        17)
    }
    self.blobs = blobs
  }
}

extension PackedQuantDirectory.Layer {
  fileprivate init(from reader: inout PackedBytesReader, tensors: Int) throws {
    let names = 1...PackedQuant.Limits.nameBytes
    name = try reader.string("name of a layer", names)
    layout = try reader.string("layout of a layer", names)
    (rows, columns) = (try reader.number(), try reader.number())
    (bits, groupSize) = (try reader.number(), try reader.number())
    var parts: [(role: String, tensor: Int)] = []
    for _ in 0..<(try reader.count(of: "parts", each: 3)) {
      let part = (role: try reader.string("role", names), tensor: try reader.number())
      guard part.tensor < tensors, parts.last?.role.precedesBytewise(part.role) ?? true else {
        throw reader.failure(
          "parts out of order, or of no tensor", found: "\"\(part.role)\" of \"\(name)\"", 30)
      }
      parts.append(part)
    }
    self.parts = parts
  }
}

/// What a path of a restored file may be (PQ-14).
enum PackedQuantPath {
  static func isSafe(_ path: String) -> Bool {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    let plain = path.unicodeScalars.allSatisfy {
      $0.value >= 0x20 && $0.value != 0x7F && $0 != "\\"
    }
    return plain && path.utf8.count <= PackedQuant.Limits.pathBytes
      && parts.count <= PackedQuant.Limits.pathParts
      && parts.first.map(String.init) != OutputFolder.journalName
      && parts.allSatisfy { part in
        !part.isEmpty && part != "." && part != ".."
          && part.utf8.count <= PackedQuant.Limits.pathPartBytes
      }
  }
}
