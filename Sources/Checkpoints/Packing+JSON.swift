internal import Codecs
public import Containers
public import TensorCore

extension PackReport {
  public var json: JSON {
    [
      "path": path.map(JSON.string) ?? .null, "bytes": .integer(byteCount),
      "restored_bytes": .integer(directory.byteCount), "ratio": .real(ratio),
      "files": .array(directory.files.map { .string($0.path) }),
      "neutral_layers": .array(directory.layers.map { .string($0.name) }),
      "raw_layers": .array(raw.map { ["name": .string($0.name), "reason": .string($0.reason)] }),
      "notes": .array(notes.map(JSON.string)),
      "seconds": ["writing": .real(seconds.writing), "proving": .real(seconds.proving)],
    ]
  }
}

extension Unpacking.Report {
  public var json: JSON {
    [
      "path": .string(path), "bytes": .integer(byteCount),
      "files": .array(files.map(JSON.string)), "seconds": .real(seconds),
    ]
  }
}

extension ContainerCheck {
  public var json: JSON {
    [
      "bytes": .integer(container.byteCount), "chunks": .integer(chunks),
      "restored_bytes": .integer(container.directory.byteCount), "seconds": .real(seconds),
      "bytes_per_second": .real(bytesPerSecond),
      "failures": .array(failures.map(\.json)),
    ]
  }
}

extension PackedQuantFile {
  /// Every file, tensor and stream with its sizes.
  public var json: JSON {
    [
      "writer": .string(directory.writer), "bytes": .integer(byteCount),
      "restored_bytes": .integer(directory.byteCount),
      "files": .array(directory.files.map(\.json)),
      "neutral_layers": .array(directory.layers.map { .string($0.name) }),
    ]
  }
}

extension PackedQuantDirectory.File {
  fileprivate var json: JSON {
    [
      "path": .string(path), "bytes": .integer(byteCount),
      "stored": .integer(blobs.reduce(0) { $0 + $1.stored }),
      "tensors": .array(blobs.filter { $0.tensor != nil }.map(\.json)),
    ]
  }
}

extension PackedQuantDirectory.Blob {
  fileprivate var json: JSON {
    [
      "name": tensor.map { .string($0.name) } ?? .null, "bytes": .integer(byteCount),
      "stored": .integer(stored), "chunks": .integer(chunks.count),
      "mappable": .bool(mappable != nil),
      "streams": .array(
        streams.map {
          [
            "name": .string($0.name), "bytes": .integer($0.byteCount),
            "stored": .integer($0.stored),
          ]
        }),
    ]
  }
}
