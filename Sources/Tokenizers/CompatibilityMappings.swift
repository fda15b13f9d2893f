/// What stands for scalars in the normal forms KC and KD, before canonical ones are taken apart.
enum CompatibilityMappings {
  /// The scalars that stand for `scalar`; nil where it stands for itself.
  static subscript(scalar: Unicode.Scalar) -> [Unicode.Scalar]? {
    scalar.value < 0xA0 ? nil : table[scalar]
  }

  /// A text with every scalar replaced that has a mapping. O(n).
  static func mapped(_ text: String) -> String {
    var mapped = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      if let new = self[scalar] { mapped.append(contentsOf: new) } else { mapped.append(scalar) }
    }
    return String(mapped)
  }

  private static let table: [Unicode.Scalar: [Unicode.Scalar]] = {
    var table: [Unicode.Scalar: [Unicode.Scalar]] = [:]
    for word in CompatibilityTable.text.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
      add(word, to: &table)
    }
    return table
  }()

  /// Adds `a>b.c`, `a+n>b` or `a=n>b`.
  private static func add(_ word: Substring, to table: inout [Unicode.Scalar: [Unicode.Scalar]]) {
    let sides = word.split(separator: ">")
    let new = sides[1].split(separator: ".").compactMap { number($0) }
    let source = sides[0].split { $0 == "+" || $0 == "=" }
    let step: UInt32 = sides[0].contains("+") ? 1 : 0
    guard let first = number(source[0]) else { return }
    let count = source.count == 2 ? number(source[1]) ?? 1 : 1
    for index in 0..<count {
      guard let scalar = Unicode.Scalar(first + index) else { continue }
      table[scalar] = new.compactMap { Unicode.Scalar($0 + step * index) }
    }
  }

  private static func number(_ digits: Substring) -> UInt32? { UInt32(digits, radix: 16) }
}
