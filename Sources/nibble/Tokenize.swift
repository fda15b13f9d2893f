import ArgumentParser
import Checkpoints

struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Turn text into the token ids of a model, or ids into text.",
    discussion: """
      Reads the model's tokenizer.json and prints the ids that the tokenizers library gives, with \
      the special tokens that its template adds. Bytes that are no UTF-8 count as U+FFFD. With \
      --decode the input is ids, with blanks or commas between them.
      """)

  @Argument(help: "A model folder with a tokenizer.json, or a tokenizer.json.")
  var model: String

  @Argument(help: "The input; stdin where it is left out.")
  var file: String?

  @Flag(help: "Turn ids into text.")
  var decode = false

  @Flag(help: "Add no special tokens; with --decode, leave them out of the text.")
  var noSpecialTokens = false

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let tokenizer = try Tokenizer(path: Self.tokenizerPath(of: model))
    let input = try Self.input(file)
    if decode { try printText(tokenizer, input) } else { try printIds(tokenizer, input) }
  }

  private func printIds(_ tokenizer: Tokenizer, _ input: [UInt8]) throws {
    let ids = try tokenizer.encode(bytes: input, addsSpecialTokens: !noSpecialTokens)
    guard json else { return Terminal.print(ids.map(String.init).joined(separator: " ")) }
    let object = JSONObject([
      "bytes": .integer(input.count), "tokens": .integer(ids.count),
      "ids": .array(ids.map { .integer($0) }),
    ])
    Terminal.print(JSON.object(object).text())
  }

  private func printText(_ tokenizer: Tokenizer, _ input: [UInt8]) throws {
    let ids = try InputIds.parse(input, at: file ?? "stdin")
    let text = try tokenizer.decode(ids, skipsSpecialTokens: noSpecialTokens)
    guard json else { return Terminal.print(text) }
    let object = JSONObject(["tokens": .integer(ids.count), "text": .string(text)])
    Terminal.print(JSON.object(object).text())
  }

  /// The `tokenizer.json` of a model.
  static func tokenizerPath(of model: String) throws -> String {
    guard FileSystem.kind(of: model) == .folder else { return model }
    let path = model + "/tokenizer.json"
    if FileSystem.kind(of: path) == nil, FileSystem.kind(of: model + "/tokenizer.model") != nil {
      throw Failure(
        .unsupported, at: model, "a tokenizer.model without a tokenizer.json is not read",
        remedy: "transformers writes one when it saves the tokenizer")
    }
    return path
  }

  /// The whole of a file or of stdin.
  private static func input(_ file: String?) throws -> [UInt8] {
    let limit = Tokenizer.mostTextBytes
    if let file { return try FileSystem.contents(of: file, limit: limit) }
    var bytes: [UInt8] = []
    // Lines end at bytes that no broken sequence holds, so each is repaired as the whole would be.
    while bytes.count <= limit, let line = readLine(strippingNewline: false) {
      bytes += line.utf8
    }
    return bytes
  }
}
