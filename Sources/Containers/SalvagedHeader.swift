public import TensorCore

/// The header of a safetensors file that may break rules whose meaning is beyond doubt: what stands
/// around the JSON object, and bytes that no tensor claims.
///
/// The strict reader is `SafetensorsHeader`; this one takes what it takes, and besides a byte order
/// mark, padding that is no text, holes filled with zeros, and bytes behind the last tensor. Every
/// tensor it gives has exactly the bytes that its entry names, inside the file.
public struct SalvagedHeader: Sendable {
  public let source: any ByteSource
  /// The first data byte of the file.
  public let dataOffset: Int
  /// The strings under `__metadata__`.
  public let metadata: JSONObject
  /// In the order of their bytes.
  public let tensors: [Tensor]
  /// What a reader had to overlook, in the order of the file.
  public let mends: [Mend]

  /// O(header), and one pass over holes. Throws `malformed` with the rule of what can't be mended,
  /// `unsupported` for files of another kind, `io`.
  public init(reading source: any ByteSource, limits: SafetensorsLimits = .standard) throws {
    let length = try SafetensorsHeader.length(of: source, limits: limits)
    var mends: [Mend] = []
    let text = try Self.object(
      in: source.contents(8..<8 + length), at: source.path, mends: &mends)
    let top = try JSON(parsing: text, at: source.path, limits: .header)
    let (metadata, entries) = try SafetensorsHeader.parts(of: top, at: source.path, limits: limits)
    self.source = source
    self.metadata = metadata
    let start = 8 + length
    dataOffset = start
    let gaps = try Self.gaps(between: entries, of: source.size - start, at: source.path)
    for gap in gaps {
      mends.append(try gap.mend(in: source, from: start))
    }
    tensors = entries.map { Tensor(info: $0.info, source: source, offset: start + $0.begin) }
    self.mends = mends
  }

  /// Bytes of the data that no tensor claims.
  private struct Gap {
    let range: Range<Int>
    /// The tensor behind it; nil at the end of the file.
    let next: TensorInfo?

    /// Bytes at the end belong to no tensor of a header that is whole. Bytes between tensors may be
    /// those of a tensor whose entry was lost, unless they are zeros.
    func mend(in source: any ByteSource, from start: Int) throws -> Mend {
      guard let next else {
        return Mend(
          at: source.path, "\(range.count) bytes behind the last tensor dropped", rule: "ST-8")
      }
      let range = start + range.lowerBound..<start + range.upperBound
      guard try source.isZero(range) else {
        throw Failure(
          .malformed, at: "\(source.path): tensor \(next)",
          "a hole before the tensor holds other bytes than zeros: a tensor's entry may be lost",
          found: "\(range.count) bytes", rule: "ST-7")
      }
      return Mend(
        at: "\(source.path): tensor \(next)",
        "a hole of \(range.count) zero bytes before the tensor closed", rule: "ST-7")
    }
  }

  /// What lies between sorted entries and behind them. Throws ST-7 where tensors overlap, ST-8
  /// where the file ends before the last of them.
  private static func gaps(
    between entries: [SafetensorsEntry], of dataCount: Int, at place: String
  ) throws -> [Gap] {
    var gaps: [Gap] = []
    var end = 0
    for entry in entries {
      guard entry.begin >= end else {
        throw Failure(
          .malformed, at: "\(place): tensor \(entry.info)",
          "the tensor's bytes overlap the one before", expected: "begin \(end)",
          found: "\(entry.begin)", rule: "ST-7")
      }
      guard entry.end <= dataCount else {
        throw Failure(
          .malformed, at: "\(place): tensor \(entry.info)", "the file is cut short",
          expected: "\(entry.end) bytes of data", found: "\(dataCount)", rule: "ST-8",
          remedy: "fetch or copy the file again")
      }
      if entry.begin > end { gaps.append(Gap(range: end..<entry.begin, next: entry.info)) }
      end = entry.end
    }
    guard !entries.isEmpty || dataCount == 0 else {
      throw Failure(
        .malformed, at: place, "data without a tensor: the header may be that of another file",
        found: "\(dataCount) bytes", rule: "ST-8")
    }
    if end < dataCount { gaps.append(Gap(range: end..<dataCount, next: nil)) }
    return gaps
  }

  /// The JSON object of a header without what stands around it: a byte order mark before, bytes
  /// that are no text after.
  private static func object(
    in header: [UInt8], at place: String, mends: inout [Mend]
  ) throws -> [UInt8] {
    var text = header[...]
    if text.starts(with: [0xEF, 0xBB, 0xBF]) {
      text = text.dropFirst(3)
      mends.append(Mend(at: place, "the byte order mark before the header dropped", rule: "JSON-3"))
    }
    guard let end = endOfObject(in: text) else { return Array(text) }
    let padding = text[end...]
    let odd = padding.count { !isBlank($0) }
    // Readable text may be meant; the strict reader says what is wrong with it.
    guard odd > 0, padding.allSatisfy({ isBlank($0) || !(0x21...0x7E ~= $0) }) else {
      return Array(text)
    }
    mends.append(
      Mend(at: place, "\(odd) bytes of padding that are no blanks dropped", rule: "JSON-4"))
    return Array(text[..<end])
  }

  /// The index behind the bracket that closes the first object; nil where none opens or closes.
  /// Only brackets and strings are looked at: the parser checks the rest. O(n).
  private static func endOfObject(in text: ArraySlice<UInt8>) -> Int? {
    guard let start = text.firstIndex(where: { !isBlank($0) }), text[start] == UInt8(ascii: "{")
    else { return nil }
    var (depth, isInString, isEscaped) = (0, false, false)
    for index in start..<text.endIndex {
      switch text[index] {
      case _ where isEscaped: isEscaped = false
      case UInt8(ascii: "\\") where isInString: isEscaped = true
      case UInt8(ascii: "\""): isInString.toggle()
      case UInt8(ascii: "{") where !isInString: depth += 1
      case UInt8(ascii: "}") where !isInString:
        depth -= 1
        if depth == 0 { return index + 1 }
      default: break
      }
    }
    return nil
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    [0x20, 0x09, 0x0A, 0x0D].contains(byte)
  }
}

extension ByteSource {
  /// Whether every byte of a range is zero. O(range), a megabyte at a time.
  fileprivate func isZero(_ range: Range<Int>) throws -> Bool {
    let step = 1 << 20
    for start in stride(from: range.lowerBound, to: range.upperBound, by: step) {
      let piece = try contents(start..<min(start + step, range.upperBound))
      guard piece.allSatisfy({ $0 == 0 }) else { return false }
    }
    return true
  }
}
