import ArgumentParser
import Checkpoints

struct Logits: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a model's logits for a text.",
    discussion: """
      Writes a safetensors file with logits, F32 [tokens, vocabulary], and input_ids, I64 [tokens]. It appears \
      whole or not at all.
      """)

  @Argument(help: "A model folder, dense or quantized.")
  var model: String

  @Option(help: "Token ids: 1,2,3 or a file of them.")
  var inputIds: String

  @Option(name: .shortAndLong, help: "The file to write.")
  var output: String

  @Flag(help: "Replace an existing file.")
  var force = false

  @Flag(help: "Do not wait for the disk: faster, unsafe if the machine loses power.")
  var noSync = false

  @OptionGroup var running: ModelArguments

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws { try running.check() }

  func run() throws {
    let ids = try InputIds.ids(inputIds)
    let loaded = try ModelRun.open(model, running)
    let line = ProgressLine()
    try LogitsFile.write(output, of: loaded, ids: ids, force: force, sync: !noSync) {
      line.update("running", $0, $1)
    }
    let vocabulary = loaded.vocabularySize
    guard json else {
      let count = Words.plural(ids.count, "token")
      return Terminal.print(
        "\(output.escapedForDisplay): logits of \(count), \(vocabulary) each")
    }
    let object = JSONObject([
      "output": .string(output), "tokens": .integer(ids.count), "vocabulary": .integer(vocabulary),
    ])
    Terminal.print(JSON.object(object).text(indent: 2))
  }
}
