import Checkpoints

/// What a container holds and how small it is, as text for people.
struct ContainerText {
  let container: PackedQuantFile

  private var directory: PackedQuantDirectory { container.directory }

  private var tensors: [PackedQuantDirectory.Blob] {
    directory.files.flatMap(\.blobs).filter { $0.tensor != nil }
  }

  /// One line for the whole, one for each kind of stream.
  var summary: String {
    var table = Table([.left, .right, .right, .right])
    let sums = streams
    for (name, sum) in sums {
      table.add(name, Words.bytes(sum.bytes), Words.bytes(sum.stored), Self.ratio(sum))
    }
    let whole = (bytes: directory.byteCount, stored: container.byteCount)
    table.add("all", Words.bytes(whole.bytes), Words.bytes(whole.stored), Self.ratio(whole))
    let layers = Words.plural(directory.layers.count, "layer")
    return Terminal.bold("container") + "  \(Words.plural(directory.files.count, "file")), "
      + "\(layers) in neutral terms, by \(directory.writer.escapedForDisplay)\n"
      + table.text(indent: "  ")
  }

  /// Streams of a name over all tensors, and bytes that are in none; the largest first.
  private var streams: [(name: String, sum: (bytes: Int, stored: Int))] {
    var sums: [String: (bytes: Int, stored: Int)] = [:]
    for blob in directory.files.flatMap(\.blobs) {
      for stream in blob.streams {
        let name = blob.tensor.map { "\($0.dtype) \(stream.name)" } ?? "other bytes"
        sums[name, default: (0, 0)].bytes += stream.byteCount
        sums[name, default: (0, 0)].stored += stream.stored
      }
    }
    return sums.map { (name: $0.key, sum: $0.value) }
      .sorted { ($1.sum.bytes, $0.name) < ($0.sum.bytes, $1.name) }
  }

  /// A line for each tensor: its sizes and the ratio of each stream.
  func table(where isWanted: (String) -> Bool) -> String {
    var table = Table([.left, .left, .left, .right, .right, .right, .left])
    for blob in tensors {
      guard let tensor = blob.tensor, isWanted(tensor.name) else { continue }
      let streams = blob.streams.map { "\($0.name) \(Self.ratio(($0.byteCount, $0.stored)))" }
      table.add(
        tensor.name.escapedForDisplay, tensor.dtype.rawValue, tensor.shape.description,
        Words.bytes(blob.byteCount), Words.bytes(blob.stored),
        Self.ratio((blob.byteCount, blob.stored)), streams.joined(separator: ", "))
    }
    return table.text()
  }

  private static func ratio(_ sum: (bytes: Int, stored: Int)) -> String {
    sum.bytes > 0 ? Words.fixed(Double(sum.stored) / Double(sum.bytes), 4) : "-"
  }
}
