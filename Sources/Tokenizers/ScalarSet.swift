/// General categories and White_Space of scalars as bits of a word.
struct ScalarClass: OptionSet, Sendable {
  let rawValue: UInt32

  static let whitespace = ScalarClass(rawValue: 1 << 31)

  static let mark: ScalarClass = [
    ScalarClass(.nonspacingMark), ScalarClass(.spacingMark), ScalarClass(.enclosingMark),
  ]

  /// The class of one category.
  init(_ category: Unicode.GeneralCategory) { self.init(rawValue: 1 << Self.index(category)) }

  init(rawValue: UInt32) { self.rawValue = rawValue }

  /// What a scalar is. O(1); the scripts most texts are in are looked up in a table.
  init(of scalar: UInt32) {
    switch scalar {
    case 0..<0x3400: self = Self.table[Int(scalar)]
    // Chinese characters and Hangul syllables.
    case 0x3400..<0x4DC0, 0x4E00..<0xA000, 0xAC00..<0xD7A4: self = Self.otherLetter
    default: self = Self.computed(scalar)
    }
  }

  private static let otherLetter = ScalarClass(.otherLetter)
  private static let table: [ScalarClass] = (0..<0x3400).map { computed($0) }

  /// The version of Unicode that the peer's regular expressions know; a test compares all scalars.
  private static let peerUnicode = 16

  private static func computed(_ value: UInt32) -> ScalarClass {
    guard let scalar = Unicode.Scalar(value) else { return [] }
    if let age = scalar.properties.age, age.major > peerUnicode {
      return ScalarClass(.unassigned)
    }
    let category = ScalarClass(scalar.properties.generalCategory)
    return scalar.properties.isWhitespace ? category.union(whitespace) : category
  }

  /// The categories that `\p{name}` stands for; nil for names that are not read.
  init?(name: String) {
    guard let categories = Self.names[name] else { return nil }
    self = categories.reduce(into: []) { $0.formUnion(ScalarClass($1)) }
  }

  private static func index(_ category: Unicode.GeneralCategory) -> UInt32 {
    switch category {
    case .uppercaseLetter: 0
    case .lowercaseLetter: 1
    case .titlecaseLetter: 2
    case .modifierLetter: 3
    case .otherLetter: 4
    case .nonspacingMark: 5
    case .spacingMark: 6
    case .enclosingMark: 7
    case .decimalNumber: 8
    case .letterNumber: 9
    case .otherNumber: 10
    case .connectorPunctuation: 11
    case .dashPunctuation: 12
    case .openPunctuation: 13
    case .closePunctuation: 14
    case .initialPunctuation: 15
    case .finalPunctuation: 16
    case .otherPunctuation: 17
    case .mathSymbol: 18
    case .currencySymbol: 19
    case .modifierSymbol: 20
    case .otherSymbol: 21
    case .spaceSeparator: 22
    case .lineSeparator: 23
    case .paragraphSeparator: 24
    case .control: 25
    case .format: 26
    case .surrogate: 27
    case .privateUse: 28
    case .unassigned: 29
    @unknown default: 30
    }
  }

  private static let names: [String: [Unicode.GeneralCategory]] = [
    "L": [.uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter],
    "Lu": [.uppercaseLetter], "Ll": [.lowercaseLetter], "Lt": [.titlecaseLetter],
    "Lm": [.modifierLetter], "Lo": [.otherLetter],
    "M": [.nonspacingMark, .spacingMark, .enclosingMark],
    "Mn": [.nonspacingMark], "Mc": [.spacingMark], "Me": [.enclosingMark],
    "N": [.decimalNumber, .letterNumber, .otherNumber],
    "Nd": [.decimalNumber], "Nl": [.letterNumber], "No": [.otherNumber],
    "P": [
      .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
      .initialPunctuation, .finalPunctuation, .otherPunctuation,
    ],
    "Pc": [.connectorPunctuation], "Pd": [.dashPunctuation], "Ps": [.openPunctuation],
    "Pe": [.closePunctuation], "Pi": [.initialPunctuation], "Pf": [.finalPunctuation],
    "Po": [.otherPunctuation],
    "S": [.mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol],
    "Sm": [.mathSymbol], "Sc": [.currencySymbol], "Sk": [.modifierSymbol], "So": [.otherSymbol],
    "Z": [.spaceSeparator, .lineSeparator, .paragraphSeparator],
    "Zs": [.spaceSeparator], "Zl": [.lineSeparator], "Zp": [.paragraphSeparator],
    "Cc": [.control], "Cf": [.format],
  ]
}

/// A set of scalars: classes, complements of classes, ranges, or all but those.
struct ScalarSet: Sendable {
  private var classes: ScalarClass = []
  private var complements: [ScalarClass] = []
  private var ranges: [ClosedRange<UInt32>] = []
  private var isNegated = false
  /// Whether each scalar below 128 belongs to it; filled by `finish`.
  private var ascii: [Bool] = []

  init() {}

  init(_ scalars: [Unicode.Scalar]) {
    for scalar in scalars { add(scalar.value...scalar.value) }
    finish(isNegated: false)
  }

  init(_ classes: ScalarClass, isNegated: Bool = false) {
    add(classes)
    finish(isNegated: isNegated)
  }

  /// All but line feeds, which `.` stands for.
  static let dot: ScalarSet = {
    var set = ScalarSet()
    set.add(0xA...0xA)
    set.finish(isNegated: true)
    return set
  }()

  mutating func add(_ range: ClosedRange<UInt32>) { ranges.append(range) }
  mutating func add(_ classes: ScalarClass) { self.classes.formUnion(classes) }
  mutating func add(allBut classes: ScalarClass) { complements.append(classes) }

  mutating func finish(isNegated: Bool) {
    self.isNegated = isNegated
    ascii = (0..<128).map { computed($0) }
  }

  /// The categories whose scalars from U+0080 on belong to it, as bits, of blanks and of others; nil
  /// where single scalars count there.
  var categories: (blanks: UInt32, others: UInt32)? {
    guard ranges.allSatisfy({ $0.upperBound < 128 }) else { return nil }
    var masks = (blanks: UInt32(0), others: UInt32(0))
    for bit in 0..<UInt32(31) {
      let category = ScalarClass(rawValue: 1 << bit)
      if isMember(category) { masks.others |= 1 << bit }
      if isMember(category.union(.whitespace)) { masks.blanks |= 1 << bit }
    }
    return masks
  }

  private func isMember(_ found: ScalarClass) -> Bool {
    let isIn =
      !classes.isDisjoint(with: found) || complements.contains { $0.isDisjoint(with: found) }
    return isIn != isNegated
  }

  func contains(_ scalar: UInt32) -> Bool {
    scalar < 128 ? ascii[Int(scalar)] : computed(scalar)
  }

  private func computed(_ scalar: UInt32) -> Bool {
    let found = ScalarClass(of: scalar)
    let isMember =
      !classes.isDisjoint(with: found) || complements.contains { $0.isDisjoint(with: found) }
      || ranges.contains { $0.contains(scalar) }
    return isMember != isNegated
  }
}
