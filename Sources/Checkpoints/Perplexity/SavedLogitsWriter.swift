/// Writes a file of saved logits beside its name, which it takes when it is whole.
final class SavedLogitsWriter {
  private let file: OutputFile
  private let vocabulary: Int
  private var position = 0
  /// Rows that do not fill a frame yet.
  private var pending: [Float] = []

  /// Writes the header and the ids. Throws `io`.
  ///
  /// Only ids up to the end of the last window are kept.
  init(_ path: String, ids: [UInt32], windows: TextWindows, vocabulary: Int) throws {
    file = try OutputFile(path: path)
    self.vocabulary = vocabulary
    let ids = ids[..<windows[windows.count - 1].upperBound]
    var header = SavedLogits.magic
    let numbers = [
      SavedLogits.version, UInt32(vocabulary), UInt32(windows.context),
      UInt32(windows.stride ?? 0), UInt32(windows.count), 0,
    ]
    for number in numbers { header.append(contentsOf: Self.bytes(UInt64(number), 4)) }
    header.append(contentsOf: Self.bytes(UInt64(ids.count), 8))
    try append(header)
    var content: [UInt8] = []
    content.reserveCapacity(ids.count * 4)
    for id in ids { content.append(contentsOf: Self.bytes(UInt64(id), 4)) }
    try append(frame: content)
  }

  private static func bytes(_ number: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) }
  }

  /// Takes the next rows; frames are full but the last one.
  func add(_ rows: LogitBlock) throws {
    let size = SavedLogits.rowsPerFrame(vocabulary) * vocabulary
    if pending.isEmpty, rows.values.count == size { return try append(rows: rows.values) }
    pending += rows.values
    while pending.count >= size {
      try append(rows: Array(pending[..<size]))
      pending.removeFirst(size)
    }
  }

  /// Writes what is left, flushes where `sync`, and gives the file its name; returns its bytes.
  func finish(sync: Bool) throws -> Int {
    if !pending.isEmpty { try append(rows: pending) }
    try file.commit(byteCount: position, sync: sync)
    return position
  }

  private func append(_ bytes: [UInt8]) throws {
    try file.write(bytes, at: position)
    position += bytes.count
  }

  private func append(frame content: [UInt8]) throws {
    var target = AlignedBytes(count: Zstd.bound(content.count))
    let size = target.withMutableBytes(count: target.count) {
      Zstd.compress(content.rawSpan, SavedLogits.level, into: &$0)
    }
    guard let size else {
      throw Failure(.internal, at: file.path, "a frame does not fit into its bound")
    }
    let frame = target.bytes.part(0..<size)
    try append(Self.bytes(UInt64(size), 8) + Self.bytes(XXH64.hash(frame), 8))
    try file.write(frame, at: position)
    position += size
  }

  /// Tops, steps, then the low and the high bytes of all codes.
  private func append(rows values: [Float]) throws {
    let count = values.count / vocabulary
    var content = [UInt8](repeating: 0, count: count * SavedLogits.rowBytes(vocabulary))
    for row in 0..<count {
      let range = row * vocabulary..<row * vocabulary + vocabulary
      let scale = RowScale(values, range)
      for (index, number) in [(row, scale.top), (count + row, scale.step)] {
        for (place, byte) in Self.bytes(UInt64(number.bitPattern), 4).enumerated() {
          content[index * 4 + place] = byte
        }
      }
      let low = count * 8
      let high = low + values.count
      for index in range {
        let code = scale.code(values[index])
        content[low + index] = UInt8(truncatingIfNeeded: code)
        content[high + index] = UInt8(truncatingIfNeeded: code >> 8)
      }
    }
    try append(frame: content)
  }
}

/// What a row's codes are counted by: value = top − step · code.
struct RowScale: Equatable {
  let top: Float
  let step: Float

  init(top: Float, step: Float) {
    self.top = top
    self.step = step
  }

  /// The scale on which the row's finite numbers lie between the first and the last step.
  init(_ values: [Float], _ range: Range<Int>) {
    var top = -Float.infinity
    var bottom = Float.infinity
    for index in range where values[index].isFinite {
      top = max(top, values[index])
      bottom = min(bottom, values[index])
    }
    self.top = top.isFinite ? top : 0
    step = top > bottom ? (top - bottom) / Float(SavedLogits.lastStep) : 0
  }

  func code(_ value: Float) -> UInt16 {
    guard value.isFinite else { return .max }
    guard step > 0 else { return 0 }
    let code = ((top - value) / step).rounded()
    return UInt16(min(max(code, 0), Float(SavedLogits.lastStep)))
  }

  func value(_ code: UInt16) -> Float {
    code == .max ? -.infinity : top - step * Float(code)
  }
}
