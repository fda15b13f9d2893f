import TensorCore
import Testing

@Suite struct JSONWriterTests {
  private static let config: JSON = [
    "architectures": ["LlamaForCausalLM"], "rms_norm_eps": .number("1e-05"), "bos_token_id": 1,
    "rope_scaling": .null, "empty": [:], "none": [], "nested": ["a": [1, [2, true]], "b": false],
  ]

  @Test func compact() {
    #expect(
      Self.config.text()
        == #"{"architectures":["LlamaForCausalLM"],"rms_norm_eps":1e-05,"bos_token_id":1,"#
        + #""rope_scaling":null,"empty":{},"none":[],"nested":{"a":[1,[2,true]],"b":false}}"#)
    #expect((["a": 1, "b": [1, 2]] as JSON).text() == #"{"a":1,"b":[1,2]}"#)
  }

  @Test func indentedAsPythonPrints() {
    #expect(
      Self.config.text(indent: 2) == """
        {
          "architectures": [
            "LlamaForCausalLM"
          ],
          "rms_norm_eps": 1e-05,
          "bos_token_id": 1,
          "rope_scaling": null,
          "empty": {},
          "none": [],
          "nested": {
            "a": [
              1,
              [
                2,
                true
              ]
            ],
            "b": false
          }
        }
        """)
  }

  @Test func indentedByNothingBreaksLinesOnly() {
    #expect((["a": [1]] as JSON).text(indent: 0) == "{\n\"a\": [\n1\n]\n}")
  }

  @Test(arguments: [
    ("\"", #""\"""#), ("\\", #""\\""#), ("/", #""/""#), ("\n\r\t\u{8}\u{C}", #""\n\r\t\b\f""#),
    ("\0\u{1}\u{F}\u{10}\u{1F}", #""\u0000\u0001\u000f\u0010\u001f""#), ("\u{7F}", "\"\u{7F}\""),
    ("é€😀\u{2028}", "\"é€😀\u{2028}\""), ("e\u{301}\"", "\"e\u{301}\\\"\""), ("", #""""#),
  ])
  func escapesOnlyWhatItMust(_ string: String, _ expected: String) {
    #expect(Array(JSON.string(string).text().utf8) == Array(expected.utf8))
    #expect(JSON(dictionaryLiteral: (string, 1)).text() == "{\(expected):1}")
  }

  @Test(arguments: [nil, 0, 2, 4])
  func readsBack(_ indent: Int?) throws {
    let text = Self.config.text(indent: indent)
    let value = try JSON(parsing: Array(text.utf8), at: "")
    #expect(value == Self.config)
    #expect(value.text(indent: indent) == text)
  }
}
