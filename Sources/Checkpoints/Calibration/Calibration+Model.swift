internal import Containers
internal import TensorCore
internal import Tokenizers

extension Calibration {
  /// Text for a model: of files, or the built-in one where there are none.
  ///
  /// `options.length` is cut to the positions the model has. Throws `io`, `malformed`, `unsupported` where the
  /// tokenizer or the chat template is not read.
  public init(
    for model: Checkpoint, files: [String], _ options: Options
  ) throws {
    let reader = CalibrationReader(folder: model.tensors.folder)
    let config = model.config.model?.object
    let inner = config?["text_config"]?.object
    let vocabulary = (config?["vocab_size"] ?? inner?["vocab_size"])?.int
    var options = options
    if let most = (config?["max_position_embeddings"] ?? inner?["max_position_embeddings"])?.int {
      options.length = min(options.length, most)
    }
    if !files.isEmpty {
      let documents = try files.flatMap { try reader.documents(of: $0) }
      try self.init(documents, from: files, options, vocabulary: vocabulary)
    } else {
      options.length = min(options.length, BuiltInText.length)
      let document = try reader.document(text: Array(BuiltInText.text.utf8), at: "built-in text")
      try self.init(
        [document], from: ["built-in"], options, vocabulary: vocabulary, isBuiltIn: true)
    }
  }

  /// What its user should know, one line each.
  public func remarks(asked options: Options) -> [String] {
    var remarks: [String] = []
    if isBuiltIn {
      remarks.append(
        "calibration is on a built-in text of \(usedTokens) tokens, too small for good statistics; "
          + "--calibration names better ones")
    } else if windows.count < options.samples {
      remarks.append(
        "calibration has \(windows.count) window\(windows.count == 1 ? "" : "s") of the \(options.samples) asked for: "
          + "\(usedTokens) tokens used, \(droppedTokens) dropped")
    }
    return remarks
  }
}
