internal import TensorCore

extension PackedQuantDirectory.Blob {
  /// Reads a blob whose first region must begin at `position`, and moves that behind its last one.
  init(from reader: inout PackedBytesReader, _ position: inout Int) throws {
    let kind = try reader.byte()
    guard kind <= 1 else {
      throw reader.failure("a blob of an unknown kind", found: "\(kind)", 18, .unsupported)
    }
    tensor = kind == 1 ? try TensorInfo(from: &reader) : nil
    byteCount = try reader.number()
    if let tensor, tensor.byteCount != byteCount {
      throw reader.failure(
        "tensor \(tensor)", expected: "\(tensor.byteCount) bytes", found: "\(byteCount)", 16)
    }
    transform = try PackedTransform(from: &reader)
    chunkBytes = try reader.number()
    try Self.check(transform, byteCount, chunkBytes, reader)
    offset = try reader.number()
    guard offset == position else {
      throw offset < position
        ? reader.failure(
          "chunks overlap", expected: "offset \(position)", found: "\(offset)", 21)
        : reader.failure(
          "a hole before a chunk", expected: "offset \(position)", found: "\(offset)", 22)
    }
    digest = try reader.take(32)
    let count = byteCount.dividedRoundingUp(by: chunkBytes)
    guard count <= reader.left / (transform.streams + 8) else {
      throw reader.failure(
        "more chunks than the directory has room for", found: "\(count)", 12)
    }
    var chunks: [PackedQuantDirectory.Chunk] = []
    chunks.reserveCapacity(count)
    for index in 0..<count {
      let bytes = min(chunkBytes, byteCount - index * chunkBytes)
      chunks.append(
        try PackedQuantDirectory.Chunk(
          from: &reader, streams: transform.streams, streamBytes: transform.streamBytes(of: bytes),
          &position))
    }
    self.chunks = chunks
  }

  /// PQ-18, PQ-19.
  private static func check(
    _ transform: PackedTransform, _ byteCount: Int, _ chunkBytes: Int, _ reader: PackedBytesReader
  ) throws {
    guard let unit = transform.unit else {
      throw reader.failure("the parameters of a transform", found: "\(transform)", 18)
    }
    let isWhole = byteCount == 0 ? chunkBytes == 1 : chunkBytes % unit == 0
    guard 1...PackedQuant.Limits.chunkBytes ~= chunkBytes, byteCount % unit == 0, isWhole else {
      throw reader.failure(
        "the size of chunks",
        expected: "1 … \(PackedQuant.Limits.chunkBytes) in whole units of \(unit)",
        found: "\(chunkBytes) for \(byteCount)", 19)
    }
  }
}

extension PackedQuantDirectory.Chunk {
  fileprivate init(
    from reader: inout PackedBytesReader, streams: Int, streamBytes: Int, _ position: inout Int
  ) throws {
    let start = position
    pieces = try (0..<streams).map { _ in
      let piece = try PackedQuantDirectory.Piece(from: &reader, streamBytes: streamBytes)
      guard let end = piece.end(from: position, of: streams) else {
        throw reader.failure("offsets overflow", 19)
      }
      position = end
      return piece
    }
    region = start..<position
    checksum = try reader.word()
  }
}

extension PackedQuantDirectory.Piece {
  /// PQ-20.
  fileprivate init(from reader: inout PackedBytesReader, streamBytes: Int) throws {
    let number = try reader.number()
    stored = number >> 2
    guard let encoding = PackedQuantDirectory.Encoding(rawValue: number & 3) else {
      throw reader.failure("an unknown encoding", found: "\(number & 3)", 20, .unsupported)
    }
    self.encoding = encoding
    let allowed =
      switch encoding {
      case .raw: streamBytes...streamBytes
      case .zstd: 1...max(1, streamBytes - 1)
      case .constant: 1...1
      }
    guard allowed.contains(stored) else {
      throw reader.failure(
        "the size of a stream of \(streamBytes) bytes, \(encoding)",
        expected: "\(allowed.lowerBound) … \(allowed.upperBound)", found: "\(stored)", 20)
    }
  }

  /// Where the piece, one of so many of its chunk, begins when what is before it ends at `position`;
  /// nil on overflow.
  func start(from position: Int, of streams: Int) -> Int? {
    encoding == .raw && stored >= PackedQuant.alignedBytes
      ? position.roundedUp(toMultipleOf: PackedQuant.alignment(streams: streams)) : position
  }

  func end(from position: Int, of streams: Int) -> Int? {
    start(from: position, of: streams)?.adding(stored)
  }
}

extension TensorInfo {
  /// PQ-16.
  fileprivate init(from reader: inout PackedBytesReader) throws {
    let name = try reader.string("name of a tensor", 1...PackedQuant.Limits.nameBytes)
    let code = Int(try reader.byte())
    guard code < DType.allCases.count else {
      throw reader.failure("the dtype of \"\(name)\"", found: "\(code)", 16)
    }
    let rank = try reader.number()
    guard rank <= PackedQuant.Limits.rank else {
      throw reader.failure(
        "the dimensions of \"\(name)\"", expected: "at most \(PackedQuant.Limits.rank)",
        found: "\(rank)", 16)
    }
    let dimensions = try (0..<rank).map { _ in try reader.number() }
    guard let shape = Shape(dimensions),
      let info = TensorInfo(name: name, dtype: DType.allCases[code], shape: shape)
    else {
      throw reader.failure("the shape of \"\(name)\"", found: "\(dimensions)", 16)
    }
    self = info
  }
}

extension PackedTransform {
  /// PQ-18.
  fileprivate init(from reader: inout PackedBytesReader) throws {
    let id = try reader.byte()
    switch id {
    case 0: self = .bytes
    case 1:
      let width = Int(try reader.byte())
      let turned = try reader.byte()
      guard turned <= 1 else {
        throw reader.failure("how planes are turned", found: "\(turned)", 18)
      }
      self = .planes(width: width, turned: turned == 1)
    case 2: self = .differences(width: Int(try reader.byte()))
    case 3:
      let bits = Int(try reader.byte())
      self = .codes(bits: bits, try CodeOrder(from: &reader))
    default: throw reader.failure("an unknown transform", found: "\(id)", 18, .unsupported)
    }
  }
}

extension PackedTransform.CodeOrder {
  fileprivate init(from reader: inout PackedBytesReader) throws {
    let id = try reader.byte()
    let columns = try reader.number()
    switch (id, columns) {
    case (0, 0): self = .along
    case (1, 1...): self = .down(columns: columns)
    case (2, 0): self = .interleaved
    default: throw reader.failure("an order of codes", found: "\(id), \(columns) columns", 18)
    }
  }
}
