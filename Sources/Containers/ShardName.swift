/// A name of the form `model-00002-of-00003.safetensors`.
struct ShardName: Hashable {
  let stem: String
  /// 1 … `total`.
  let number: Int
  let total: Int

  static let suffix = ".safetensors"

  init(stem: String, number: Int, total: Int) {
    (self.stem, self.number, self.total) = (stem, number, total)
  }

  /// nil for a name of another form, or with a number outside of 1 … total.
  init?(_ fileName: String) {
    guard fileName.hasSuffix(Self.suffix) else { return nil }
    let parts = fileName.dropLast(Self.suffix.count).split(
      separator: "-", omittingEmptySubsequences: false)
    let tail = Array(parts.suffix(3))
    guard parts.count >= 4, tail[1] == "of", let number = Self.number(tail[0]),
      let total = Self.number(tail[2]), 1...max(total, 1) ~= number
    else { return nil }
    self.init(stem: parts.dropLast(3).joined(separator: "-"), number: number, total: total)
  }

  /// At least five digits, as `%05d` prints.
  var text: String {
    "\(stem)-\(Self.padded(number))-of-\(Self.padded(total))\(Self.suffix)"
  }

  private static func padded(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }

  private static func number(_ text: Substring) -> Int? {
    guard 5...9 ~= text.utf8.count, text.utf8.allSatisfy({ 48...57 ~= $0 }) else { return nil }
    return Int(text)
  }
}

/// Names for the shards that stay when others are dropped.
public enum ShardNumbering {
  /// Numbered 1 … n where all names are numbered under one stem, in their order; the stem alone for
  /// a single one; nil where they are named otherwise.
  public static func names(for names: [String]) -> [String]? {
    let parsed = names.compactMap(ShardName.init)
    guard let first = parsed.first, parsed.count == names.count,
      parsed.allSatisfy({ $0.stem == first.stem && $0.total == first.total })
    else { return nil }
    guard parsed.count > 1 else { return [first.stem + ShardName.suffix] }
    return parsed.indices.map {
      ShardName(stem: first.stem, number: $0 + 1, total: parsed.count).text
    }
  }
}
