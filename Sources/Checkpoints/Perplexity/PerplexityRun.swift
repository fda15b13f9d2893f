/// What a perplexity is asked for.
public struct PerplexityOptions: Sendable {
  public var context = 2048
  public var stride: Int?
  public var maxWindows: Int?
  public var threads = Processor.cores
  /// A file to save the model's logits in.
  public var savesTo: String?
  /// Whether that file may replace one.
  public var force = false
  public var sync = true

  public init() {}
}

/// What a model is compared with.
public enum ComparedModel: Sendable {
  case model(any TokenModel)
  /// A file of saved logits.
  case file(String)
}

extension Perplexity {
  /// The perplexity of a model on a text of tokens. Logits are held for one batch of windows; they are
  /// saved and compared on the way where that is asked for.
  ///
  /// Throws `usage` for a text too short, ids and windows outside of the model, another vocabulary or
  /// text on the other side, and an output that is there; `malformed`, `io`.
  public init(
    of model: any TokenModel, ids: [UInt32], against other: ComparedModel? = nil,
    _ options: PerplexityOptions, progress: (Progress) throws -> Void = { _ in }
  ) throws {
    let windows = try TextWindows(
      tokens: ids.count, context: options.context, stride: options.stride,
      atMost: options.maxWindows)
    let stream = try WindowLogits(model, ids: ids, windows: windows)
    let base = try other.map {
      try Self.stream($0, ids: ids, windows: windows, vocabulary: model.vocabularySize)
    }
    let writer = try Self.writer(options, ids, windows, model.vocabularySize)
    try self.init(
      of: stream, base: base, ids: ids, windows: windows, writer: writer,
      threads: options.threads, progress: progress)
    savedBytes = try writer?.finish(sync: options.sync)
  }

  private static func stream(
    _ other: ComparedModel, ids: [UInt32], windows: TextWindows, vocabulary: Int
  ) throws -> any LogitStream {
    switch other {
    case .file(let path):
      let reader = try SavedLogitsReader(path)
      try reader.check(ids: ids, windows: windows, vocabulary: vocabulary)
      return reader
    case .model(let model):
      guard model.vocabularySize == vocabulary else {
        throw Failure(
          .usage, at: "against", "the other model has another vocabulary",
          expected: "\(vocabulary)", found: "\(model.vocabularySize)")
      }
      return try WindowLogits(model, ids: ids, windows: windows)
    }
  }

  private static func writer(
    _ options: PerplexityOptions, _ ids: [UInt32], _ windows: TextWindows, _ vocabulary: Int
  ) throws -> SavedLogitsWriter? {
    guard let path = options.savesTo else { return nil }
    try OutputGuard.checkFile(path, force: options.force)
    return try SavedLogitsWriter(path, ids: ids, windows: windows, vocabulary: vocabulary)
  }
}
