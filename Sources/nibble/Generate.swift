import ArgumentParser
import Checkpoints

struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Let a model go on with a text.",
    discussion: """
      Prints tokens as they come, the most probable ones unless --temperature says otherwise, up to \
      --max-new-tokens or a token that ends the text (eos_token_id of generation_config.json or \
      config.json). The speed is told on stderr at the end. With --chat the prompt is one message of a user, put \
      into the model's chat template.
      """)

  @Argument(help: "A model folder, dense or quantized.")
  var model: String

  @OptionGroup var prompt: PromptArguments

  @Option(help: "The most tokens to generate.")
  var maxNewTokens = 256

  @Option(help: "What logits are divided by; 0 takes the most probable token.")
  var temperature = 0.0

  @Option(help: "Draw from so many of the most probable tokens.")
  var topK: Int?

  @Option(help: "Draw from the most probable tokens that reach this probability together.")
  var topP = 1.0

  @Option(help: "What the drawing begins with.")
  var seed: UInt64 = 0

  @Flag(help: "Print ids in place of text.")
  var ids = false

  @Flag(name: .customLong("no-eos-stop"), help: "Go on behind a token that ends the text.")
  var noEOSStop = false

  @OptionGroup var running: ModelArguments

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    try running.check()
    try prompt.check()
    guard maxNewTokens > 0 else {
      throw ValidationError("--max-new-tokens takes a positive number")
    }
  }

  func run() throws {
    let sampling = Sampling(temperature: temperature, topK: topK, topP: topP, seed: seed)
    try sampling.check()
    let tokenizer = try prompt.tokenizer(of: model, isNeeded: !ids)
    let input = try prompt.ids(model: model, tokenizer)
    let stops = noEOSStop ? [] : try StopTokens.ids(ofFolder: ModelRun.folder(model))
    let loaded = try ModelRun.open(model, running)
    var stream = tokenizer.map { TextStream($0) }
    var count = 0
    let result = try Generation(
      loaded, prompt: input, sampling: sampling, limit: maxNewTokens, stopTokens: stops
    ) { id in
      defer { count += 1 }
      if json { return true }
      if ids {
        Terminal.show(count == 0 ? "\(id)" : " \(id)")
      } else if let text = try stream?.add(id), !text.isEmpty {
        Terminal.show(text)
      }
      return true
    }
    try finish(result, &stream, tokenizer)
    Terminal.complain(speed(result, loaded))
  }

  private func finish(
    _ result: Generation, _ stream: inout TextStream?, _ tokenizer: Tokenizer?
  ) throws {
    guard json else { return Terminal.print(ids ? "" : try stream?.finish() ?? "") }
    var object = JSONObject([
      "prompt_tokens": .integer(result.promptTokens), "tokens": .integer(result.ids.count),
      "ending": .string(result.ending.rawValue), "ids": .array(result.ids.map { .integer($0) }),
    ])
    if let tokenizer { object["text"] = .string(try tokenizer.decode(result.ids)) }
    Terminal.print(JSON.object(object).text())
  }

  private func speed(_ result: Generation, _ model: CausalModel) -> String {
    let reading =
      "\(Words.plural(result.promptTokens, "token")) read in "
      + "\(Words.fixed(result.promptSeconds, 2)) s"
    guard let rate = result.tokensPerSecond else { return reading }
    let bytes = Words.rate(model.weightBytes * result.decodedTokens, result.seconds)
    return "\(reading), then \(Words.fixed(rate, 1)) tokens/s, \(bytes) of weights"
  }
}

/// Where the tokens come from that a model goes on with.
struct PromptArguments: ParsableArguments {
  @Option(help: "The text to go on with.")
  var prompt: String?

  @Option(help: "A file with the text.")
  var promptFile: String?

  @Option(help: "Token ids in place of a text: 1,2,3 or a file of them.")
  var inputIds: String?

  @Flag(help: "Put the text into the model's chat template.")
  var chat = false

  @Option(help: "With --chat: a system message before it.")
  var system: String?

  @Option(
    help: ArgumentHelp(
      "With --chat: a name of the template and its value as JSON, such as enable_thinking=false.",
      valueName: "name=json"))
  var chatVariable: [String] = []

  @Option(help: "With --chat: the day that templates print, such as 2024-07-26.")
  var chatDate: String?

  @Flag(help: "Add no special tokens to the text.")
  var noSpecialTokens = false

  @Option(help: "A tokenizer.json, or a folder with one, in place of the model's.")
  var tokenizer: String?

  func check() throws {
    let given = [prompt, promptFile, inputIds].compactMap(\.self).count
    guard given == 1 else {
      throw ValidationError("give one of --prompt, --prompt-file and --input-ids")
    }
    guard !chat || inputIds == nil else {
      throw ValidationError("--chat takes a text: --prompt or --prompt-file")
    }
    guard chat || system == nil && chatVariable.isEmpty && chatDate == nil else {
      throw ValidationError("--system, --chat-variable and --chat-date go with --chat")
    }
    if let chatDate, CalendarDay(chatDate) == nil {
      throw ValidationError("--chat-date takes a day such as 2024-07-26")
    }
  }

  /// The model's tokenizer; nil where there is none and neither input nor output needs it.
  func tokenizer(of model: String, isNeeded: Bool) throws -> Tokenizer? {
    let path = try Tokenize.tokenizerPath(of: tokenizer ?? ModelRun.folder(model))
    guard isNeeded || inputIds == nil || FileSystem.kind(of: path) == .file else { return nil }
    return try Tokenizer(path: path)
  }

  func ids(model: String, _ tokenizer: Tokenizer?) throws -> [UInt32] {
    if let inputIds { return try InputIds.ids(inputIds) }
    guard let tokenizer else { return [] }
    let text =
      try promptFile.map { try FileSystem.contents(of: $0, limit: Tokenizer.mostTextBytes) }
      ?? Array((prompt ?? "").utf8)
    guard chat else {
      return try tokenizer.encode(bytes: text, addsSpecialTokens: !noSpecialTokens)
    }
    // The template spells the special tokens itself.
    return try tokenizer.encode(
      try chatText(String(decoding: text, as: UTF8.self), ModelRun.folder(model)),
      addsSpecialTokens: false)
  }

  private func chatText(_ prompt: String, _ folder: String) throws -> String {
    var messages: [JSON] = []
    if let system { messages.append(["role": "system", "content": .string(system)]) }
    messages.append(["role": "user", "content": .string(prompt)])
    var variables = JSONObject()
    for argument in chatVariable {
      guard let sign = argument.firstIndex(of: "="), sign != argument.startIndex else {
        throw Failure(.usage, at: "--chat-variable", "not name=json", found: argument)
      }
      let value = Array(argument[argument.index(after: sign)...].utf8)
      variables[String(argument[..<sign])] = try JSON(parsing: value, at: "--chat-variable")
    }
    return try ChatTemplate(folder: folder).text(
      of: .array(messages), variables: variables, today: chatDate.flatMap { CalendarDay($0) })
  }
}
