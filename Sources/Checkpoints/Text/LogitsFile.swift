/// Writes a model's logits for a text as a safetensors file: `logits` F32 [tokens, vocabulary] and
/// `input_ids` I64 [tokens].
public enum LogitsFile {
  /// Logits that are held at once, in bytes.
  public static let mostBytes = 1 << 27

  /// Reads `ids` part by part and writes each part's logits. The file appears whole or not at all.
  /// Throws `usage` where it is there and not `force`, for ids outside of the vocabulary and for more tokens
  /// than positions; `malformed` where a logit is NaN; `io`.
  public static func write(
    _ path: String, of model: any TokenModel, ids: [UInt32], force: Bool, sync: Bool = true,
    mostBytes: Int = LogitsFile.mostBytes, progress: (_ done: Int, _ all: Int) -> Void = { _, _ in }
  ) throws {
    try model.check(ids, capacity: ids.count)
    try OutputGuard.checkFile(path, force: force)
    let width = model.vocabularySize
    let layout = try layout(ids.count, width)
    let file = try OutputFile(path: path)
    try file.reserve(layout.byteCount)
    try file.write(layout.header, at: 0)
    for place in layout.placements where place.info.name == "input_ids" {
      try file.write(ids.flatMap(littleEndian), at: place.offset)
    }
    let start = layout.placements.first { $0.info.name == "logits" }?.offset ?? 0
    let context = try model.makeContext(sequences: 1, capacity: ids.count)
    let part = max(1, min(mostBytes / 4 / max(width, 1), 512))
    for index in stride(from: 0, to: ids.count, by: part) {
      let end = min(index + part, ids.count)
      let values = try context.read(ids[index..<end].map(Int32.init), .all)
      try check(values, width, from: index)
      try file.write(values.rawSpan, at: start + index * width * 4)
      progress(end, ids.count)
    }
    try file.commit(byteCount: layout.byteCount, sync: sync)
  }

  private static func layout(_ tokens: Int, _ width: Int) throws -> SafetensorsLayout {
    guard let ids = TensorInfo(name: "input_ids", dtype: .i64, shape: [tokens]),
      let logits = TensorInfo(name: "logits", dtype: .f32, shape: [tokens, width])
    else { throw Failure(.cannotRepresent, at: "logits", "larger than files can be") }
    return try SafetensorsLayout(tensors: [ids, logits])
  }

  private static func littleEndian(_ id: UInt32) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: UInt64(id) >> (8 * $0)) }
  }

  private static func check(_ values: [Float], _ width: Int, from token: Int) throws {
    guard let index = values.firstIndex(where: \.isNaN) else { return }
    throw Failure(
      .malformed, at: "logits", "NaN among the logits of a token",
      found: "token \(token + index / width)")
  }
}
