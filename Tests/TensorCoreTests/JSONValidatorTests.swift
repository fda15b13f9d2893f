import TensorCore
import Testing

/// A text that must be refused, and the rule that refuses it.
struct Refused: CustomTestStringConvertible, Sendable {
  let bytes: [UInt8]
  let rule: JSONRule
  let byte: Int?

  init(_ text: String, _ rule: JSONRule, byte: Int? = nil) {
    self.init(bytes: Array(text.utf8), rule, byte: byte)
  }

  init(bytes: [UInt8], _ rule: JSONRule, byte: Int? = nil) {
    self.bytes = bytes
    self.rule = rule
    self.byte = byte
  }

  var testDescription: String {
    "\(rule): \(String(decoding: bytes, as: UTF8.self).debugDescription)"
  }
}

/// The failure of reading `bytes`; nil where they are accepted.
func refusal(of bytes: [UInt8], limits: JSONLimits = .config) -> Failure? {
  do {
    _ = try JSON(parsing: bytes, at: "x.json", limits: limits)
    return nil
  } catch {
    return error as? Failure
  }
}

func refusal(of text: String, limits: JSONLimits = .config) -> Failure? {
  refusal(of: Array(text.utf8), limits: limits)
}

private let structure: [Refused] = [
  Refused("", .notEmpty, byte: 0),
  Refused(" \n\t\r ", .notEmpty, byte: 5),
  Refused("\u{FEFF}{}", .noByteOrderMark, byte: 0),
  Refused("{}\0", .nothingAfter, byte: 2),
  Refused("{} \0\0\0", .nothingAfter, byte: 3),
  Refused("{}{}", .nothingAfter),
  Refused("1 2", .nothingAfter),
  Refused("{}\u{B}", .nothingAfter),
  Refused("{}\u{C}", .nothingAfter),
  Refused("{}\u{A0}", .nothingAfter),
  Refused("{} // end", .nothingAfter),
  Refused("]", .structure, byte: 0),
  Refused("}", .structure),
  Refused("[1}", .structure, byte: 2),
  Refused(#"{"a":1]"#, .structure, byte: 6),
  Refused(#"{"a" 1}"#, .structure, byte: 5),
  Refused(#"{"a"}"#, .structure),
  Refused(#"{"a":}"#, .structure),
  Refused(#"{"a":1 "b":2}"#, .structure),
  Refused("[1 2]", .structure),
  Refused("[,1]", .structure),
  Refused("[1,,2]", .structure),
  Refused("{,}", .structure),
  Refused("{1:2}", .structure),
  Refused("{a:2}", .structure),
  Refused("\u{A0}1", .structure),
  Refused("\0", .structure),
  Refused("[1,]", .noTrailingComma, byte: 3),
  Refused("[1 , \n]", .noTrailingComma),
  Refused(#"{"a":1,}"#, .noTrailingComma, byte: 7),
  Refused("/* c */ 1", .noComments, byte: 0),
  Refused("// c\n1", .noComments),
  Refused("[1 /* c */]", .noComments, byte: 3),
  Refused("{# c\n}", .noComments),
  Refused("'a'", .doubleQuotes),
  Refused("{'a':1}", .doubleQuotes, byte: 1),
]

private let scalars: [Refused] = [
  Refused("NaN", .literal),
  Refused("nan", .literal),
  Refused("[NaN]", .literal, byte: 1),
  Refused("Infinity", .literal),
  Refused("-Infinity", .literal, byte: 0),
  Refused("-NaN", .literal),
  Refused("True", .literal),
  Refused("TRUE", .literal),
  Refused("nUll", .literal),
  Refused("None", .literal),
  Refused("undefined", .literal),
  Refused("truE", .literal),
  Refused("truex", .nothingAfter),
  Refused("01", .numberSpelling, byte: 0),
  Refused("-01", .numberSpelling),
  Refused("00", .numberSpelling),
  Refused("[00.5]", .numberSpelling, byte: 1),
  Refused("+1", .numberSpelling),
  Refused(".5", .numberSpelling),
  Refused("-.5", .numberSpelling),
  Refused("[1.]", .numberSpelling, byte: 3),
  Refused("[1.e5]", .numberSpelling),
  Refused("[1e]", .numberSpelling),
  Refused("[1e+]", .numberSpelling),
  Refused("[-]", .numberSpelling),
  Refused("[--1]", .numberSpelling),
  Refused("0x10", .numberSpelling),
  Refused("1_000", .numberSpelling),
  Refused("1.2.3", .numberSpelling),
  Refused("1-2", .numberSpelling),
  Refused("1f", .numberSpelling),
  Refused("18446744073709551616", .numberRange),
  Refused("-9223372036854775809", .numberRange),
  Refused("[1000000000000000000000000000000]", .numberRange, byte: 1),
  Refused("1e999", .numberRange),
  Refused("-1e309", .numberRange),
  Refused(String(repeating: "9", count: 400) + ".5", .numberRange),
  Refused("0." + String(repeating: "1", count: 1023), .numberLength),
  Refused(String(repeating: "1", count: 1025), .numberLength),
]

private let strings: [Refused] = [
  Refused("\"a\nb\"", .noRawControl, byte: 2),
  Refused("\"a\tb\"", .noRawControl),
  Refused("\"a\0b\"", .noRawControl),
  Refused("\"\u{1F}\"", .noRawControl),
  Refused("{\"a\u{1}\":1}", .noRawControl),
  Refused(#""\x41""#, .escape),
  Refused(#""\'""#, .escape),
  Refused(#""\U0041""#, .escape),
  Refused(#""\u00G1""#, .escape, byte: 1),
  Refused(#""\u12""#, .escape),
  Refused(#""\u+123""#, .escape),
  Refused(#""\ud800""#, .surrogatePairs, byte: 1),
  Refused(#""\uD800a""#, .surrogatePairs),
  Refused(#""\uD800\n""#, .surrogatePairs),
  Refused(#""\uD800\u0041""#, .surrogatePairs),
  Refused(#""\uD800\uD800""#, .surrogatePairs),
  Refused(#""\uDC00""#, .surrogatePairs),
  Refused(#""\uDC00\uD800""#, .surrogatePairs),
  Refused(#"{"\uDFFF":1}"#, .surrogatePairs),
  Refused(#""\u0000""#, .noEscapedNUL, byte: 1),
  Refused(#"{"a\u0000b":1}"#, .noEscapedNUL, byte: 3),
  Refused(bytes: quoted(0x80), .utf8, byte: 1),
  Refused(bytes: quoted(0xFF), .utf8),
  Refused(bytes: quoted(0xC0, 0x80), .utf8),
  Refused(bytes: quoted(0xC1, 0xBF), .utf8),
  Refused(bytes: quoted(0xE0, 0x9F, 0xBF), .utf8),
  Refused(bytes: quoted(0xED, 0xA0, 0x80), .utf8),
  Refused(bytes: quoted(0xED, 0xBF, 0xBF), .utf8),
  Refused(bytes: quoted(0xF0, 0x8F, 0xBF, 0xBF), .utf8),
  Refused(bytes: quoted(0xF4, 0x90, 0x80, 0x80), .utf8),
  Refused(bytes: quoted(0xF5, 0x80, 0x80, 0x80), .utf8),
  Refused(bytes: quoted(0xC3), .utf8),
  Refused(bytes: quoted(0xE2, 0x82), .utf8),
  Refused(bytes: quoted(0xE2, 0x28, 0xA1), .utf8),
  Refused(bytes: quoted(0xF0, 0x9F, 0x98), .utf8),
]

private let repeatedKeys: [Refused] = [
  Refused(#"{"a":1,"a":2}"#, .uniqueKeys, byte: 7),
  Refused(#"{"a":1,"b":2,"a":1}"#, .uniqueKeys, byte: 13),
  Refused(#"{"":1,"":2}"#, .uniqueKeys),
  Refused(#"{"a":1,"\u0061":2}"#, .uniqueKeys),
  Refused(#"{"\u0061":1,"a":2}"#, .uniqueKeys),
  Refused(#"{"/":1,"\/":2}"#, .uniqueKeys),
  Refused(#"{"\n":1,"\u000A":2}"#, .uniqueKeys),
  Refused(#"{"é":1,"\u00e9":2}"#, .uniqueKeys),
  Refused(#"{"€":1,"\u20AC":2}"#, .uniqueKeys),
  Refused(#"{"😀":1,"\ud83d\uDE00":2}"#, .uniqueKeys),
  Refused(#"[{"x":{"a":1,"a":2}}]"#, .uniqueKeys, byte: 13),
  Refused(#"{"a":{"a":1},"a":2}"#, .uniqueKeys, byte: 13),
  Refused(#"{"b":1,"a":2,"b":3,"a":4}"#, .uniqueKeys, byte: 13),
]

private func quoted(_ bytes: UInt8...) -> [UInt8] { [0x22] + bytes + [0x22] }

@Suite struct JSONValidatorTests {
  @Test(arguments: structure + scalars + strings + repeatedKeys)
  func refuses(_ refused: Refused) throws {
    let failure = try #require(refusal(of: refused.bytes))
    #expect(failure.kind == .malformed)
    #expect(failure.rule == refused.rule.name)
    #expect(failure.place.hasPrefix("x.json, byte "))
    if let byte = refused.byte { #expect(failure.place == "x.json, byte \(byte)") }
  }

  @Test(arguments: [
    "null", "true", " false ", "0", "-1", "\r\n\t {} \r\n\t", "[]", "[[],{}]",
    "18446744073709551615",
    "-9223372036854775808", "1e308", "0.1", "-0.0", "1E+5", "1e-999", #""""#,
    #""\" \\ \/ \b \f \n \r \t""#,
    #""\ud83d\ude00""#, #""\uFFFF\u0001""#, #""/* no comment */""#,
    "\"\u{7F}\u{80}\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFF}\u{10000}\u{10FFFF}\"",
    #"{"a":1,"A":2,"a ":3}"#, #"{"a":{"a":{"a":1}},"b":{"a":1}}"#, #"[{"a":1},{"a":1}]"#,
  ])
  func accepts(_ text: String) {
    #expect(refusal(of: text) == nil)
  }

  @Test func everyRuleIsTested() {
    let tested = Set((structure + scalars + strings + repeatedKeys).map(\.rule))
    // These have tests of their own below; the last can't be provoked.
    let others: Set<JSONRule> = [
      .textLength, .complete, .depth, .memberCount, .objectCount, .keyLength, .parserAgrees,
    ]
    #expect(tested.union(others) == Set(JSONRule.allCases))
  }

  @Test func rulesKeepTheirNumbers() {
    #expect(JSONRule.textLength.name == "JSON-1")
    #expect(JSONRule.uniqueKeys.name == "JSON-19")
    #expect(JSONRule.parserAgrees.name == "JSON-24")
  }

  @Test func namesTheNULPadding() throws {
    let failure = try #require(refusal(of: "{}\0\0"))
    #expect(failure.what.contains("NUL"))
    #expect(
      failure.description == "x.json, byte 2: NUL bytes stand after the value: "
        + "expected padding with spaces (JSON-4)")
  }

  @Test func namesTheRepeatedKeyDecoded() throws {
    let failure = try #require(refusal(of: #"{"a":1,"\u0061":2}"#))
    #expect(failure.found == #""a""#)
  }

  @Test func placesWithoutAName() throws {
    #expect(throws: Failure(.malformed, at: "byte 0", "the text is empty", rule: "JSON-2")) {
      try JSON(parsing: [], at: "")
    }
  }

  @Test(arguments: [
    #"{"a": [1, -2.5e-3, true, false, null], "b\u00e9\ud83d\ude00": "x\n\u00e9", "é€😀": {"c": []}}"#,
    #"[{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]}]"#, #""\ud83d\ude00😀""#, "null",
  ])
  func refusesEveryTruncation(_ text: String) {
    let bytes = Array(text.utf8)
    #expect(refusal(of: bytes) == nil)
    for length in 1..<bytes.count {
      let failure = refusal(of: Array(bytes[..<length]))
      #expect(failure?.rule == JSONRule.complete.name, "\(length) bytes")
      #expect(failure?.place == "x.json, byte \(length)")
    }
  }

  @Test(arguments: [("[", "]"), (#"{"a":"#, "}")])
  func limitsTheDepth(_ opening: String, _ closing: String) {
    func nest(_ depth: Int) -> String {
      String(repeating: opening, count: depth) + "1" + String(repeating: closing, count: depth)
    }
    #expect(refusal(of: nest(64)) == nil)
    #expect(refusal(of: nest(65))?.rule == JSONRule.depth.name)
    #expect(refusal(of: nest(1_000_000))?.rule == JSONRule.depth.name)
    var limits = JSONLimits.config
    limits.maxDepth = 1
    #expect(refusal(of: nest(1), limits: limits) == nil)
    #expect(refusal(of: nest(2), limits: limits)?.rule == JSONRule.depth.name)
    limits.maxDepth = 0
    #expect(refusal(of: nest(0), limits: limits) == nil)
    #expect(refusal(of: nest(1), limits: limits)?.rule == JSONRule.depth.name)
    limits.maxDepth = .max
    #expect(refusal(of: nest(512), limits: limits) == nil)
    #expect(refusal(of: nest(513), limits: limits)?.rule == JSONRule.depth.name)
  }

  @Test func limitsBytes() {
    var limits = JSONLimits.config
    limits.maxBytes = 4
    #expect(refusal(of: "[12]", limits: limits) == nil)
    #expect(refusal(of: "[12] ", limits: limits)?.rule == JSONRule.textLength.name)
  }

  @Test func limitsMembers() {
    var limits = JSONLimits.config
    limits.maxMembers = 4
    #expect(refusal(of: #"{"a":[1,2],"b":3}"#, limits: limits) == nil)
    #expect(refusal(of: #"{"a":[1,2],"b":[3]}"#, limits: limits)?.rule == "JSON-21")
    #expect(refusal(of: #"[1,2,3,4,5]"#, limits: limits)?.place == "x.json, byte 9")
  }

  @Test func limitsObjects() {
    var limits = JSONLimits.config
    limits.maxObjects = 2
    #expect(refusal(of: "[{},[],{}]", limits: limits) == nil)
    #expect(refusal(of: "[{},{},{}]", limits: limits)?.rule == JSONRule.objectCount.name)
  }

  @Test func limitsKeysAfterDecoding() {
    var limits = JSONLimits.config
    limits.maxKeyBytes = 4
    #expect(refusal(of: #"{"abcd":1}"#, limits: limits) == nil)
    #expect(refusal(of: #"{"\ud83d\ude00":1}"#, limits: limits) == nil)
    #expect(refusal(of: #"{"abcde":1}"#, limits: limits)?.rule == JSONRule.keyLength.name)
    #expect(refusal(of: #"{"ééx":1}"#, limits: limits)?.rule == JSONRule.keyLength.name)
  }

  /// Around the count at which keys are sorted.
  @Test(arguments: [2, 7, 8, 9, 10, 30])
  func findsTheEarliestRepeatedKey(_ count: Int) {
    for twin in 1..<count {
      let names = (0..<count).map { $0 == twin ? "k0" : "k\($0)" } + ["k0"]
      let members = names.map { "\"\($0)\":0" }
      let offset = 1 + members[..<twin].map(\.utf8.count).reduce(0, +) + twin
      let failure = refusal(of: "{" + members.joined(separator: ",") + "}")
      #expect(failure?.place == "x.json, byte \(offset)")
    }
  }

  @Test func findsARepeatedKeyAmongMany() {
    let members = (0..<50_000).map { "\"key\($0)\":\($0)" }
    #expect(refusal(of: "{" + members.joined(separator: ",") + "}") == nil)
    let text = "{" + members.joined(separator: ",") + #","\u006bey777":0}"#
    #expect(refusal(of: text)?.found == #""key777""#)
    #expect(refusal(of: text)?.rule == JSONRule.uniqueKeys.name)
  }

  @Test func hostileKeysStayLinear() {
    let same = "{" + Array(repeating: #""a":0"#, count: 200_000).joined(separator: ",") + "}"
    let clock = ContinuousClock()
    let time = clock.measure {
      #expect(refusal(of: same)?.place == "x.json, byte 7")
    }
    #expect(time < .seconds(30))
  }
}
