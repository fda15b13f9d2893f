internal import TensorCore

extension PackedQuantDirectory {
  /// The directory as it is before it is compressed.
  var bytes: [UInt8] {
    var writer = PackedBytesWriter()
    writer.string(self.writer)
    writer.number(files.count)
    for file in files { file.write(to: &writer) }
    writer.number(layers.count)
    for layer in layers { layer.write(to: &writer) }
    // No extension is defined.
    writer.number(0)
    return writer.bytes
  }
}

extension PackedQuantDirectory.File {
  fileprivate func write(to writer: inout PackedBytesWriter) {
    writer.string(path)
    writer.number(byteCount)
    writer.append(digest)
    writer.number(blobs.count)
    for blob in blobs { blob.write(to: &writer) }
  }
}

extension PackedQuantDirectory.Blob {
  fileprivate func write(to writer: inout PackedBytesWriter) {
    writer.byte(tensor == nil ? 0 : 1)
    if let tensor {
      writer.string(tensor.name)
      writer.byte(tensor.dtype.sortRank)
      writer.number(tensor.shape.rank)
      for dimension in tensor.shape.dimensions { writer.number(dimension) }
    }
    writer.number(byteCount)
    transform.write(to: &writer)
    writer.number(chunkBytes)
    writer.number(offset)
    writer.append(digest)
    for chunk in chunks {
      for piece in chunk.pieces { writer.number(piece.stored << 2 | piece.encoding.rawValue) }
      writer.word(chunk.checksum)
    }
  }
}

extension PackedTransform {
  fileprivate func write(to writer: inout PackedBytesWriter) {
    switch self {
    case .bytes: writer.byte(0)
    case .planes(let width, let turned):
      writer.byte(1)
      writer.byte(width)
      writer.byte(turned ? 1 : 0)
    case .differences(let width):
      writer.byte(2)
      writer.byte(width)
    case .codes(let bits, let order):
      writer.byte(3)
      writer.byte(bits)
      switch order {
      case .along: writer.append([0, 0])
      case .down(let columns):
        writer.byte(1)
        writer.number(columns)
      case .interleaved: writer.append([2, 0])
      }
    }
  }
}

extension PackedQuantDirectory.Layer {
  fileprivate func write(to writer: inout PackedBytesWriter) {
    writer.string(name)
    writer.string(layout)
    for number in [rows, columns, bits, groupSize, parts.count] { writer.number(number) }
    for part in parts {
      writer.string(part.role)
      writer.number(part.tensor)
    }
  }
}
