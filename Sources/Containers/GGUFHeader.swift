public import TensorCore

/// The head of a GGUF file: metadata, and where the tensors are (`Formats/gguf.md`). What exists is right: each
/// tensor lies inside the file, and none over another.
public struct GGUFHeader: Sendable {
  /// One tensor as it is stored.
  public struct Entry: Sendable {
    public let name: String
    public let type: GGMLType
    /// Outermost dimension first; the file has them the other way round.
    public let shape: Shape
    /// From the start of the file.
    public let offset: Int
    public let byteCount: Int
  }

  public static let magic = Array("GGUF".utf8)

  public let version: Int
  /// In the order of the file.
  public let metadata: [(key: String, value: GGUFValue)]
  /// In the order of the file.
  public let tensors: [Entry]
  private let source: any ByteSource

  /// Reads and checks the head; no data byte is touched. O(head). Throws `malformed` and `unsupported` with a GG rule,
  /// `io`.
  public init(reading source: any ByteSource) throws {
    var reader = GGUFBytesReader(source)
    guard try reader.take(4).elementsEqual(Self.magic) else {
      throw reader.failure("the file is no GGUF", expected: "GGUF in its first bytes", 1)
    }
    let version = try reader.number(UInt32.self)
    guard [2, 3].contains(version) else {
      throw reader.failure(
        "a version of GGUF that is not read", expected: "2 or 3, little-endian",
        found: [2, 3].contains(version.byteSwapped) ? "big-endian" : "\(version)", 1, .unsupported)
    }
    let count = try reader.length(of: "tensors", each: 24)
    let values = try reader.length(of: "values", each: 13)
    self.source = source
    self.version = Int(version)
    metadata = try Self.metadata(values, &reader)
    let alignment = try Self.alignment(metadata, reader)
    let heads = try Self.heads(count, &reader)
    tensors = try Self.entries(heads, alignment: alignment, reader)
  }

  /// A value by its key. O(values).
  public subscript(key: String) -> GGUFValue? { metadata.first { $0.key == key }?.value }

  /// A tensor of a plain type, to be read; nil where it has blocks.
  public func tensor(_ entry: Entry) -> Tensor? {
    entry.type.dtype.flatMap { TensorInfo(name: entry.name, dtype: $0, shape: entry.shape) }.map {
      Tensor(info: $0, source: source, offset: entry.offset)
    }
  }

  private static func metadata(
    _ count: Int, _ reader: inout GGUFBytesReader
  ) throws -> [(key: String, value: GGUFValue)] {
    var values: [(key: String, value: GGUFValue)] = []
    var keys: Set<String> = []
    for _ in 0..<count {
      let key = try reader.name("a value")
      guard keys.insert(key).inserted else {
        throw reader.failure("two values of one key", found: key, 4)
      }
      values.append((key, try reader.value()))
    }
    return values
  }

  private static func alignment(
    _ metadata: [(key: String, value: GGUFValue)], _ reader: GGUFBytesReader
  ) throws -> Int {
    guard let value = metadata.first(where: { $0.key == "general.alignment" })?.value else {
      return 32
    }
    guard let size = value.int, (1...1 << 20).contains(size), size & (size - 1) == 0 else {
      throw reader.failure(
        "general.alignment", expected: "a power of two up to 1048576", found: "\(value)", 7)
    }
    return size
  }

  /// What stands of a tensor in the head.
  private struct Head {
    let name: String
    let type: GGMLType
    let shape: Shape
    let offset: Int
    let byteCount: Int
  }

  private static func heads(_ count: Int, _ reader: inout GGUFBytesReader) throws -> [Head] {
    var heads: [Head] = []
    var names: Set<String> = []
    for _ in 0..<count {
      let head = try head(&reader)
      guard names.insert(head.name).inserted else {
        throw reader.failure("two tensors of one name", found: head.name, 4)
      }
      heads.append(head)
    }
    return heads
  }

  private static func head(_ reader: inout GGUFBytesReader) throws -> Head {
    let name = try reader.name("a tensor")
    let rank = try reader.number(UInt32.self)
    guard (1...4).contains(rank) else {
      throw reader.failure(
        "the dimensions of \(name)", expected: "1 to 4 of them", found: "\(rank)", 8)
    }
    let sizes = try (0..<rank).map { _ in try reader.number(UInt64.self) }
    let number = try reader.number(UInt32.self)
    guard let type = GGMLType(number) else {
      throw reader.failure(
        "the type of \(name) is not known", found: "\(number)", 8, .unsupported)
    }
    let dimensions = sizes.compactMap { Int(exactly: $0) }
    guard dimensions.count == sizes.count, let shape = Shape(dimensions.reversed()),
      dimensions[0] % type.block == 0,
      let byteCount = (shape.count / type.block).multiplied(by: type.bytes)
    else {
      throw reader.failure(
        "the shape of \(name)", expected: "rows of whole blocks of \(type.block)",
        found: "\(sizes) of \(type.name)", 8)
    }
    let offset = try reader.number(UInt64.self)
    guard let offset = Int(exactly: offset) else {
      throw reader.failure("the offset of \(name)", found: "\(offset)", 9)
    }
    return Head(name: name, type: type, shape: shape, offset: offset, byteCount: byteCount)
  }

  /// GG-9: offsets count from the first aligned byte behind the head.
  private static func entries(
    _ heads: [Head], alignment: Int, _ reader: GGUFBytesReader
  ) throws -> [Entry] {
    guard let start = reader.position.roundedUp(toMultipleOf: alignment) else {
      throw reader.failure("the data begins behind all files", 9)
    }
    let size = reader.position + reader.left
    let entries = try heads.map { head in
      guard head.offset % alignment == 0, let offset = start.adding(head.offset),
        let end = offset.adding(head.byteCount), end <= size
      else {
        throw reader.failure(
          "the data of \(head.name)",
          expected: "\(head.byteCount) bytes of the file at a multiple of \(alignment)",
          found: "offset \(head.offset) of \(max(0, size - start))", 9)
      }
      return Entry(
        name: head.name, type: head.type, shape: head.shape, offset: offset,
        byteCount: head.byteCount)
    }
    let sorted = entries.filter { $0.byteCount > 0 }.sorted { $0.offset < $1.offset }
    for (one, next) in zip(sorted, sorted.dropFirst())
    where one.offset + one.byteCount > next.offset {
      throw reader.failure("two tensors in one place", found: "\(one.name) and \(next.name)", 9)
    }
    return entries
  }
}
