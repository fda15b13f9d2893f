internal import TensorCore

/// The older form of importance matrices, `.dat`: a count, and for each weight its name, a divisor and its sums,
/// little-endian; behind them may stand how many chunks of text it took, and the text's name (IM-5).
struct LegacyImportance {
  private(set) var entries: [ImportanceMatrix.Entry] = []
  private let file: InputFile
  private var position = 0

  /// Throws `malformed` with the rule IM-5, `io`.
  init(reading file: InputFile) throws {
    self.file = file
    let number = try count("the number of entries", 1...max(1, file.size / 13))
    var names: Set<String> = []
    for _ in 0..<number {
      let entry = try entry()
      guard names.insert(entry.name).inserted else {
        throw failure("two entries of one name", found: entry.name)
      }
      entries.append(entry)
    }
    try end()
  }

  private mutating func entry() throws -> ImportanceMatrix.Entry {
    let length = try count("the length of a name", 1...65535)
    let bytes = try take(length)
    guard !bytes.contains(0), let name = String(validating: bytes, as: UTF8.self) else {
      throw failure("a name is not UTF-8")
    }
    let divisor = try count("what the sums of \(name) are to be divided by", 0...Int(Int32.max))
    let values = try count("the number of sums of \(name)", 1...Int(Int32.max))
    guard let shape = Shape([values]), let info = TensorInfo(name: name, dtype: .f32, shape: shape)
    else { throw failure("the number of sums of \(name)", found: "\(values)") }
    let sums = Tensor(info: info, source: file, offset: position)
    try skip(info.byteCount)
    return ImportanceMatrix.Entry(name: name, sums: sums, counts: [Float(divisor)])
  }

  /// Nothing, or chunks and a name.
  private mutating func end() throws {
    guard position < file.size else { return }
    _ = try count("the number of chunks", 0...Int(Int32.max))
    if position < file.size { try skip(count("the length of the text's name", 0...65535)) }
    guard position == file.size else {
      throw failure(
        "bytes are left over", expected: "the end at \(position)", found: "\(file.size) bytes")
    }
  }

  private mutating func count(_ what: String, _ range: ClosedRange<Int>) throws -> Int {
    let bytes = try take(4)
    let number = Int(Int32(bitPattern: bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }))
    guard range.contains(number) else {
      throw failure(
        what, expected: "\(range.lowerBound) to \(range.upperBound)", found: "\(number)")
    }
    return number
  }

  private mutating func take(_ count: Int) throws -> [UInt8] {
    let start = position
    try skip(count)
    return try file.contents(start..<position)
  }

  private mutating func skip(_ count: Int) throws {
    guard count <= file.size - position else {
      throw failure(
        "the file ends inside of an entry", expected: "\(count) bytes at offset \(position)",
        found: "\(file.size - position)")
    }
    position += count
  }

  private func failure(_ what: String, expected: String? = nil, found: String? = nil) -> Failure {
    Failure(.malformed, at: file.path, what, expected: expected, found: found, rule: "IM-5")
  }
}
