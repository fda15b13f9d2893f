internal import Containers
internal import TensorCore

/// An importance matrix of llama.cpp: for each linear layer the sum of x² of each of its inputs, and over how much
/// (`Formats/imatrix.md`). Read from the GGUF form, or from the older one of `.dat` files.
struct ImportanceMatrix: Sendable {
  /// What was summed of one weight; of experts in one tensor for each of them.
  struct Entry: Sendable {
    /// The weight in llama.cpp's words, such as `blk.0.attn_q.weight`.
    let name: String
    /// F32, one row for each matrix, or all in one.
    let sums: Tensor
    /// Tokens of each matrix, or one number for all; in `.dat` files what the sums are to be divided by.
    let counts: [Float]
  }

  let path: String
  let byteCount: Int
  /// In the order of the file.
  let entries: [Entry]
  /// Whether counts are tokens.
  let countsTokens: Bool

  /// nil where the file is of another kind. Throws `malformed` with an IM or GG rule, `unsupported`, `io`. Reads the
  /// file once.
  init?(path: String) throws {
    guard FileSystem.kind(of: path) == .file else { return nil }
    let file = try InputFile(path: path)
    let head = try file.contents(0..<min(file.size, 12))
    if head.starts(with: GGUFHeader.magic) {
      entries = try Self.entries(GGUFHeader(reading: file), at: path)
      countsTokens = true
    } else if Self.beginsLikeEntries(head) {
      entries = try LegacyImportance(reading: file).entries
      countsTokens = false
    } else {
      return nil
    }
    (self.path, byteCount) = (path, file.size)
    guard !entries.isEmpty else {
      throw Failure(.malformed, at: path, "an importance matrix of no weight", rule: "IM-1")
    }
    for entry in entries { try Self.check(entry) }
  }

  /// A positive count, the length of a name, and a letter: other files have no such head.
  private static func beginsLikeEntries(_ head: [UInt8]) -> Bool {
    guard head.count > 8 else { return false }
    let (count, length) = (head[0..<4], head[4..<8])
    return count[3] < 128 && count.contains { $0 > 0 } && length[6] == 0 && length[7] == 0
      && length[4...5].contains { $0 > 0 }
      && (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(head[8])
  }

  private static func entries(_ header: GGUFHeader, at path: String) throws -> [Entry] {
    let kind = header["general.type"]?.string
    guard kind == "imatrix" else {
      throw Failure(
        .malformed, at: path, "a GGUF file that is no importance matrix",
        expected: "general.type imatrix", found: kind, rule: "IM-1")
    }
    var parts: [String: GGUFHeader.Entry] = [:]
    for tensor in header.tensors { parts[tensor.name] = tensor }
    for tensor in header.tensors where tensor.name.hasSuffix(".counts") {
      let sums = tensor.name.dropLast("counts".count) + "in_sum2"
      guard parts[String(sums)] == nil else { continue }
      throw Failure(
        .malformed, at: path, "counts without sums", found: tensor.name, rule: "IM-2")
    }
    return try header.tensors.filter { $0.name.hasSuffix(".in_sum2") }.map { tensor in
      let name = String(tensor.name.dropLast(".in_sum2".count))
      guard let counts = parts[name + ".counts"] else {
        throw Failure(.malformed, at: path, "sums without counts", found: name, rule: "IM-2")
      }
      return try entry(name, tensor, counts, header, at: path)
    }
  }

  private static func entry(
    _ name: String, _ sums: GGUFHeader.Entry, _ counts: GGUFHeader.Entry, _ header: GGUFHeader,
    at path: String
  ) throws -> Entry {
    guard let sum = header.tensor(sums), let count = header.tensor(counts), sum.dtype == .f32,
      count.dtype == .f32, count.shape.count > 0, sum.shape.count > 0,
      sum.shape.count % count.shape.count == 0
    else {
      throw Failure(
        .malformed, at: path, "sums and counts that do not fit",
        expected: "F32 [matrices, inputs] and [matrices, 1]",
        found: "\(sums.type.name) \(sums.shape) and \(counts.type.name) \(counts.shape) of \(name)",
        rule: "IM-2")
    }
    let block = try count.contents()
    let numbers = (0..<count.shape.count).map { block.bytes.float32(at: $0) }
    guard numbers.allSatisfy({ $0.isFinite && $0 >= 0 && $0 <= 1e15 }) else {
      throw Failure(.malformed, at: path, "counts that count nothing", found: name, rule: "IM-3")
    }
    return Entry(name: name, sums: sum, counts: numbers)
  }

  /// IM-3.
  private static func check(_ entry: Entry) throws {
    try entry.sums.forEachBlock { start, bytes in
      for index in 0..<bytes.byteCount / 4 {
        let value = bytes.float32(at: index)
        guard value.isFinite, value >= 0 else {
          throw Failure(
            .malformed, at: entry.sums.place, "no sum of squares",
            expected: "finite numbers of at least 0", found: "\(value) at \(start / 4 + index)",
            rule: "IM-3")
        }
      }
    }
  }

  /// One matrix of an entry: of an expert, or the only one.
  struct Place: Hashable, Sendable {
    let entry: Int
    let expert: Int?

    var matrix: Int { expert ?? 0 }
  }

  /// Where each module's sums are by the names of llama.cpp. Modules that would share one are left out.
  func places(of modules: [String]) -> [String: Place] {
    let numbers = Dictionary(entries.enumerated().map { ($1.name, $0) }) { first, _ in first }
    var modulesAt: [Place: [String]] = [:]
    for module in modules {
      let known = LlamaNames.weights(of: module).lazy.compactMap { weight in
        numbers[weight.name].map { Place(entry: $0, expert: weight.expert) }
      }
      if let place = known.first { modulesAt[place, default: []].append(module) }
    }
    var places: [String: Place] = [:]
    for (place, modules) in modulesAt where modules.count == 1 { places[modules[0]] = place }
    return places
  }

  /// The mean of x² for each of so many inputs; nil where nothing came to them. Throws `io`.
  func importance(at place: Place, columns: Int) throws -> [Float]? {
    let entry = entries[place.entry]
    var block = AlignedBytes(count: columns * 4)
    var span = block.mutableBytes
    try entry.sums.read(into: &span, at: place.matrix * columns * 4)
    let count = entry.counts.count == 1 ? entry.counts[0] : entry.counts[place.matrix]
    // A count of 0 in a .dat file: sums that were divided before.
    let divisor = count == 0 && !countsTokens ? 1 : count
    let bytes = block.bytes
    let means = (0..<columns).map { bytes.float32(at: $0) / divisor }
    return divisor > 0 && means.contains { $0 > 0 } ? means : nil
  }

  /// Tokens that came to a matrix; nil where the file does not say.
  func tokens(at place: Place) -> Int? {
    guard countsTokens else { return nil }
    let counts = entries[place.entry].counts
    return Int((counts.count == 1 ? counts[0] : counts[place.matrix]).rounded())
  }

  /// Throws `malformed` (IM-4) where an entry is not of a layer of so many inputs.
  func check(_ place: Place, columns: Int, module: String) throws {
    let entry = entries[place.entry]
    let sums = entry.sums.shape.count
    let matrices = countsTokens ? entry.counts.count : sums / columns
    let fits = sums == columns * matrices && (place.expert ?? 0) < matrices
    guard fits, place.expert != nil || matrices == 1 else {
      throw Failure(
        .malformed, at: entry.sums.place, "importance of another layer",
        expected: "\(columns) inputs, as \(module) has",
        found: "\(sums) sums, \(entry.counts.count) counts",
        rule: "IM-4")
    }
  }
}
