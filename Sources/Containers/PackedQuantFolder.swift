public import TensorCore

/// The files of a container, restored on demand.
public struct PackedQuantFolder: ModelFolder {
  public let container: PackedQuantFile

  public init(_ container: PackedQuantFile) {
    self.container = container
  }

  public var path: String { container.path }

  public func names() -> [String] {
    var names: [String] = []
    for file in container.directory.files {
      let name = file.path.firstPathPart
      if names.last.map({ !$0.equalsBytewise(name) }) ?? true { names.append(name) }
    }
    return names.sorted { $0.precedesBytewise($1) }
  }

  public func paths() -> [String] {
    container.directory.files.map(\.path).filter { path in
      !path.split(separator: "/").contains { $0.hasPrefix(".") }
    }
  }

  public func open(_ name: String) -> (any ByteSource)? {
    container.directory.files.position(of: name, by: \.path).map {
      RestoredFile(container, file: $0)
    }
  }
}

extension String {
  fileprivate var firstPathPart: String { String(prefix { $0 != "/" }) }
}

/// A file of a container, read as if it lay on disk.
public struct RestoredFile: ByteSource {
  private let container: PackedQuantFile
  let file: Int
  public let path: String
  public let size: Int

  public init(_ container: PackedQuantFile, file: Int) {
    self.container = container
    self.file = file
    let entry = container.directory.files[file]
    path = container.path + "/" + entry.path
    size = entry.byteCount
  }

  public func read(into bytes: inout MutableRawSpan, at offset: Int) throws {
    guard offset >= 0, offset <= size, bytes.byteCount <= size - offset else {
      throw Failure(.io, at: path, "the file ended while being read")
    }
    try container.read(into: &bytes, file: file, at: offset)
  }

  /// PQ-32: the tensors of its header are those of the directory. Throws `malformed`.
  func check(_ header: SafetensorsHeader) throws {
    let entry = container.directory.files[file]
    var stated: [(info: TensorInfo, offset: Int)] = []
    for (blob, start) in zip(entry.blobs, container.starts[file]) {
      if let tensor = blob.tensor { stated.append((tensor, start)) }
    }
    // A file may have been packed as plain bytes.
    guard !stated.isEmpty else { return }
    let found = header.tensors.map { (info: $0.info, offset: $0.offset) }
    guard stated.count == found.count,
      zip(stated, found).allSatisfy({ $0.info == $1.info && $0.offset == $1.offset })
    else {
      throw PackedQuant.failure(
        "the header tells other tensors than the directory", at: path,
        expected: "\(stated.count) tensors", found: "\(found.count)", 32)
    }
  }
}
