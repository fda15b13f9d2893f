import TensorCore
import Testing

@Suite struct FailureTests {
  @Test func printsOneLine() {
    let failure = Failure(
      .malformed, at: "a.safetensors: tensor \"w\"", "needs more bytes", expected: "8", found: "4",
      rule: "ST-9", remedy: "download it again")
    #expect(
      failure.description == "a.safetensors: tensor \"w\": needs more bytes: expected 8, found 4 "
        + "(ST-9); download it again")
  }

  @Test func leavesOutWhatIsNotKnown() {
    #expect(Failure(.usage, at: "", "no input").description == "no input")
    #expect(Failure(.io, at: "f", "x", found: "y").description == "f: x: found y")
    #expect(Failure(.io, at: "f", "x", expected: "y").description == "f: x: expected y")
    #expect(Failure(.io, at: "f", "x", rule: "R-1").description == "f: x (R-1)")
  }

  @Test func escapesWhatCameFromAFile() {
    let failure = Failure(.malformed, at: "a\nb", "c\u{1B}d", expected: "\u{202E}", found: "\0")
    #expect(failure.place == #"a\u{A}b"#)
    #expect(failure.what == #"c\u{1B}d"#)
    #expect(failure.expected == #"\u{202E}"#)
    #expect(failure.found == #"\u{0}"#)
  }

  @Test func exitCodesDiffer() {
    #expect(Set(Failure.Kind.allCases.map(\.exitCode)).count == Failure.Kind.allCases.count)
    #expect(!Failure.Kind.allCases.map(\.exitCode).contains(0))
    #expect(Failure.Kind.malformed.exitCode == 4)
  }

  @Test(arguments: [
    ("plain é😀 text", "plain é😀 text"), ("", ""), ("\t", #"\u{9}"#), ("a\u{200B}b", #"a\u{200B}b"#),
    ("\u{FEFF}", #"\u{FEFF}"#), ("\u{2028}", #"\u{2028}"#), ("\u{E000}", #"\u{E000}"#),
    ("\u{9B}31m", #"\u{9B}31m"#),
  ])
  func escapesForDisplay(_ text: String, _ expected: String) {
    #expect(text.escapedForDisplay == expected)
  }
}
