import Checkpoints
import TensorCore
import TestKit
import Testing
import Tokenizers

/// Calibration text as windows: how it is packed and counted, and what is refused.
@Suite struct CalibrationTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func options(
    _ samples: Int, _ length: Int, seed: UInt64? = nil
  ) -> Calibration.Options {
    var options = Calibration.Options()
    (options.samples, options.length, options.seed) = (samples, length, seed)
    return options
  }

  private func text(_ ids: ClosedRange<Int32>) -> CalibrationDocument {
    CalibrationDocument(ids: Array(ids), isText: true)
  }

  /// Documents run on in one stream; what fills no window is dropped.
  @Test func textIsOneStream() throws {
    let made = try Calibration(
      [text(1...5), text(6...7), text(8...12)], from: ["a"], options(9, 4), vocabulary: 100)
    #expect(made.windows == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])
    #expect(made.readTokens == 12 && made.usedTokens == 12 && made.droppedTokens == 0)
    let fewer = try Calibration([text(1...11)], from: ["a"], options(1, 4), vocabulary: nil)
    #expect(fewer.windows == [[1, 2, 3, 4]] && fewer.droppedTokens == 7)
    #expect(fewer.digest != made.digest)
  }

  /// Lists of ids are windows as they are, cut where they are too long.
  @Test func idsKeepTheirWindows() throws {
    let lists: [[Int32]] = [[1, 2, 3], [4, 5, 6, 7, 8], [9]]
    let made = try Calibration(
      lists.map { CalibrationDocument(ids: $0, isText: false) }, from: ["a"], options(9, 4),
      vocabulary: 100)
    #expect(made.windows == [[1, 2, 3], [4, 5, 6, 7]])
    #expect(made.droppedTokens == 2)
  }

  /// The same seed draws the same windows, in the order of the text.
  @Test func seedsDraw() throws {
    let all = [text(0...399)]
    func drawn(_ seed: UInt64) throws -> [[Int32]] {
      try Calibration(all, from: ["a"], options(5, 4, seed: seed), vocabulary: 400).windows
    }
    let one = try drawn(1)
    #expect(try one == drawn(1) && one != drawn(2))
    #expect(one.count == 5 && one.map { $0[0] } == one.map { $0[0] }.sorted())
    #expect(Set(one.map { $0[0] }).count == 5)
  }

  @Test func emptyShortAndForeignTextIsRefused() throws {
    let reasons: [([CalibrationDocument], Int?, String)] = [
      ([], nil, "empty"), ([text(1...3)], nil, "too short"), ([text(1...8)], 8, "vocabulary"),
    ]
    for (documents, vocabulary, reason) in reasons {
      let failure = #expect(throws: Failure.self) {
        try Calibration(documents, from: ["a"], options(2, 4), vocabulary: vocabulary)
      }
      #expect(failure?.kind == .malformed && failure?.what.contains(reason) == true)
    }
    for wrong in [options(0, 4), options(4, 1)] {
      let failure = #expect(throws: Failure.self) {
        try Calibration([text(1...8)], from: ["a"], wrong, vocabulary: nil)
      }
      #expect(failure?.kind == .usage)
    }
  }

  private var reader: CalibrationReader {
    CalibrationReader {
      try Tokenizer(path: Fixtures.path("tokenizers/valid/llama3.json"))
    } template: {
      try ChatTemplate(
        parsing: "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}", at: "template"
      )
    }
  }

  @Test func filesAreReadByTheirKind() throws {
    let tokenizer = try Tokenizer(path: Fixtures.path("tokenizers/valid/llama3.json"))
    func ids(_ text: String) throws -> [Int32] {
      try tokenizer.encode(text, addsSpecialTokens: false).map { Int32($0) }
    }
    let lines = """
      {"text": "one two"}

      {"messages": [{"role": "user", "content": "hello"}]}
      {"input_ids": [4, 5]}
      [6, 7, 8]
      """
    let path = try folder.write(Array(lines.utf8), to: "a.jsonl")
    let found = try reader.documents(of: path)
    #expect(try found.map(\.ids) == [ids("one two"), ids("[user] hello"), [4, 5], [6, 7, 8]])
    #expect(found.map(\.isText) == [true, true, false, false])
    let plain = try folder.write(Array("one two".utf8), to: "a.txt")
    #expect(try reader.documents(of: plain).map(\.ids) == [ids("one two")])
    let list = try folder.write(Array("[[1, 2], [3]]".utf8), to: "a.json")
    #expect(try reader.documents(of: list).map(\.ids) == [[1, 2], [3]])
  }

  @Test(arguments: [
    ("a.txt", [0x61, 0xFF] as [UInt8]), ("a.jsonl", Array("{\"text\": 3}".utf8)),
    ("a.jsonl", Array("{\"text\": \"x\"}\n{\"text\"".utf8)), ("a.json", Array("[1, 2]".utf8)),
    ("a.json", Array("[[1, -7000000000]]".utf8)), ("a.jsonl", Array("[1, \"2\"]".utf8)),
  ])
  func otherFilesAreRefused(name: String, content: [UInt8]) throws {
    let path = try folder.write(content, to: name)
    let failure = #expect(throws: Failure.self) { try reader.documents(of: path) }
    #expect(failure?.kind == .malformed && failure?.place.contains(name) == true)
  }
}
