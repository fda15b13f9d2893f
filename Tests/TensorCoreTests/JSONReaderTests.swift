import TensorCore
import Testing

private func read(_ text: String, limits: JSONLimits = .config) throws -> JSON {
  try JSON(parsing: Array(text.utf8), at: "x.json", limits: limits)
}

@Suite struct JSONReaderTests {
  @Test func readsEveryKind() throws {
    let value = try read(#" {"n":null,"t":true,"f":false,"i":-7,"s":"é","a":[1,[]],"o":{"":"x"}} "#)
    #expect(
      value == [
        "n": .null, "t": true, "f": false, "i": -7, "s": "é", "a": [1, []], "o": ["": "x"],
      ])
    #expect(try read(" null\n") == .null)
    #expect(try read("{}") == [:])
    #expect(try read("[]") == [])
  }

  @Test(arguments: [
    "0", "7", "-7", "1.0", "1e-05", "1E5", "1e+05", "-0.0", "0.10", "1e308", "1e-999",
    "123456789.0",
    "9223372036854775807", "9223372036854775808", "18446744073709551615", "-9223372036854775808",
    "3.141592653589793238462643383279", "0e0",
  ])
  func keepsTheSpellingOfNumbers(_ spelling: String) throws {
    #expect(try read(spelling) == .number(spelling))
    #expect(try read("[\(spelling)]") == [.number(spelling)])
    #expect(try read("{\"a\":\(spelling) }") == ["a": .number(spelling)])
  }

  @Test func minusZeroIsZero() throws {
    #expect(try read("-0") == .number("0"))
    #expect(try read("[-0,1]") == [0, 1])
  }

  @Test func keepsTheOrderOfKeys() throws {
    let names = (0..<1000).map { "k\(($0 * 7919) % 1000)" }
    let text = "{" + names.map { "\"\($0)\":0" }.joined(separator: ",") + "}"
    #expect(try read(text).object?.keys == names)
  }

  @Test func decodesEscapes() throws {
    let value = try read(#""\" \\ \/ \b\f\n\r\t \u00e9 \u20AC \ud83d\ude00 \u001f""#)
    let expected = "\" \\ / \u{8}\u{C}\n\r\t é € 😀 \u{1F}"
    #expect(value.string.map { Array($0.utf8) } == Array(expected.utf8))
    #expect(try read(#"{"a\n\u0062":1}"#).object?.keys == ["a\nb"])
  }

  @Test func keepsCanonicallyEquivalentKeysApart() throws {
    let value = try read(#"{"\u00e9":1,"e\u0301":2}"#)
    #expect(value.object?.members.count == 2)
    #expect(value["\u{E9}"] == 1)
    #expect(value["e\u{301}"] == 2)
  }

  @Test(arguments: [
    #"{"model.layers.0.q_proj.qweight":{"dtype":"I32","shape":[8,64],"data_offsets":[0,2048]}}"#,
    #"{"__metadata__":{"format":"pt","é😀":"\"\\\n\t\u0001"},"a":[1.0,1e-05,-3,null,true,[],{}]}"#,
    "[18446744073709551615,-9223372036854775808,0.10]", #""/""#,
  ])
  func roundTrips(_ text: String) throws {
    #expect(try read(text).text() == text)
  }

  @Test func flippedBytesNeverTrap() throws {
    let text =
      #"{"a\u00e9":[1,-2.5e-3,18446744073709551615,"é😀\ud83d\ude00"],"b":{"c":null,"d":true}}"#
    let valid = Array(text.utf8)
    var random = SplitMix(state: 20)
    var accepted = 0
    for _ in 0..<20_000 {
      var bytes = valid
      for _ in 0...random.next() % 3 {
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      guard let failure = refusal(of: bytes) else {
        accepted += 1
        // What is read once is written as something that reads the same.
        let value = try JSON(parsing: bytes, at: "")
        #expect(try JSON(parsing: Array(value.text().utf8), at: "") == value)
        continue
      }
      #expect(failure.kind == .malformed)
      #expect(failure.rule != JSONRule.parserAgrees.name, "\(bytes)")
    }
    #expect(accepted > 0)
  }

  @Test func randomTokensNeverTrap() {
    let tokens = [
      "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "0", "1", "-", ".", "e", "true", "null",
      "\"a\"",
      " ", "\u{0}", "é",
    ]
    var random = SplitMix(state: 7)
    for _ in 0..<20_000 {
      let count = random.next() % 8
      let text = (0...count).map { _ in tokens[Int(random.next() % UInt64(tokens.count))] }.joined()
      let failure = refusal(of: text)
      #expect(failure?.rule != JSONRule.parserAgrees.name, "\(text)")
    }
  }

  @Test func readsALargeObject() throws {
    var text = "{"
    for index in 0..<300_000 {
      if index > 0 { text += "," }
      text +=
        "\"model.layers.\(index).mlp.experts.down_proj.weight\":\"model-\(index).safetensors\""
    }
    text += "}"
    #expect(text.utf8.count > 20_000_000)
    let clock = ContinuousClock()
    var value = JSON.null
    let time = try clock.measure { value = try read(text) }
    #expect(value.object?.members.count == 300_000)
    #expect(value["model.layers.299999.mlp.experts.down_proj.weight"] == "model-299999.safetensors")
    #expect(time < .seconds(120))
  }

  @Test func headersTakeMoreThanConfigs() throws {
    let text = "[" + String(repeating: "0,", count: 1_000_000) + "0]"
    #expect(refusal(of: text)?.rule == JSONRule.memberCount.name)
    #expect(try read(text, limits: .header).array?.count == 1_000_001)
  }
}

/// A small generator whose sequence is the same everywhere.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
