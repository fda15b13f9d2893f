internal import Kernels
public import TensorCore

/// The token windows that a model is run on so that quantizers see its activations.
///
/// Text is read as one stream of tokens, document after document without special tokens, and cut into windows
/// of equal length; lists of ids are windows already. No padding is ever made.
public struct Calibration: Sendable, Equatable {
  /// What is taken of the text.
  public struct Options: Sendable, Equatable {
    /// Windows, at most.
    public var samples = 128
    /// Tokens of a window.
    public var length = 2048
    /// Draws windows from all there are; nil takes the first.
    public var seed: UInt64?

    public init() {}

    /// Throws `usage`.
    public func check() throws {
      guard samples > 0 else {
        throw Failure(
          .usage, at: "--num-samples", "no number of windows", expected: "at least 1",
          found: "\(samples)")
      }
      guard length > 1 else {
        throw Failure(
          .usage, at: "--seq-len", "no length of a window", expected: "at least 2",
          found: "\(length)")
      }
    }
  }

  public let windows: [[Int32]]
  /// Where the text came from: paths, or `built-in`.
  public let sources: [String]
  public let documents: Int
  /// Tokens that were read, of which `usedTokens` are in the windows.
  public let readTokens: Int
  /// SHA-256 of the windows, in hexadecimal.
  public let digest: String
  public let isBuiltIn: Bool

  public var usedTokens: Int { windows.reduce(0) { $0 + $1.count } }
  public var droppedTokens: Int { readTokens - usedTokens }
  /// Tokens of the longest window.
  public var length: Int { windows.map(\.count).max() ?? 0 }

  /// Windows of documents. Throws `malformed` where there are no tokens, or not enough for one window, and
  /// where an id is of no row of the embedding, which has `vocabulary` of them.
  public init(
    _ documents: [CalibrationDocument], from sources: [String], _ options: Options,
    vocabulary: Int?, isBuiltIn: Bool = false
  ) throws {
    try options.check()
    let packed = Self.pack(documents, options.length)
    let read = documents.reduce(0) { $0 + $1.ids.count }
    guard read > 0 else {
      throw Failure(
        .malformed, at: sources.joined(separator: ", "), "the calibration text is empty",
        expected: "text of at least \(options.length) tokens", found: "no token")
    }
    guard !packed.isEmpty else {
      throw Failure(
        .malformed, at: sources.joined(separator: ", "), "the calibration text is too short",
        expected: "at least one window of \(options.length) tokens", found: "\(read) tokens",
        remedy: "more text, or --seq-len \(read)")
    }
    windows = Self.choose(packed, options)
    (self.sources, self.isBuiltIn) = (sources, isBuiltIn)
    (self.documents, readTokens) = (documents.count, read)
    digest = Self.digest(of: windows)
    if let vocabulary { try check(vocabulary) }
  }

  /// Throws `malformed` where a tokenizer does not match its model.
  private func check(_ vocabulary: Int) throws {
    let wrong = windows.lazy.joined().first { $0 < 0 || Int($0) >= vocabulary }
    guard let wrong else { return }
    throw Failure(
      .malformed, at: sources.joined(separator: ", "),
      "the tokens are not of this model's vocabulary", expected: "ids from 0 to \(vocabulary - 1)",
      found: "\(wrong)", remedy: "the model's own tokenizer.json")
  }

  /// Text goes into windows of whole length across documents; ids keep their own, cut where too long.
  private static func pack(_ documents: [CalibrationDocument], _ length: Int) -> [[Int32]] {
    var windows: [[Int32]] = []
    var stream: [Int32] = []
    for document in documents {
      guard document.isText else {
        windows += stride(from: 0, to: document.ids.count, by: length).map {
          Array(document.ids[$0..<min($0 + length, document.ids.count)])
        }.filter { $0.count > 1 }
        continue
      }
      stream += document.ids
      guard stream.count >= length else { continue }
      let whole = stream.count / length * length
      windows += stride(from: 0, to: whole, by: length).map { Array(stream[$0..<$0 + length]) }
      stream.removeFirst(whole)
    }
    return windows
  }

  /// The first windows, or some that are drawn, in the order of the text.
  private static func choose(_ windows: [[Int32]], _ options: Options) -> [[Int32]] {
    guard let seed = options.seed, windows.count > options.samples else {
      return Array(windows.prefix(options.samples))
    }
    var generator = SplitMix(seed: seed)
    var order = Array(windows.indices)
    for place in 0..<options.samples {
      let left = UInt64(order.count - place)
      order.swapAt(place, place + Int(generator.next() % left))
    }
    return order.prefix(options.samples).sorted().map { windows[$0] }
  }

  /// Each window's length and its ids, little-endian 32-bit numbers.
  private static func digest(of windows: [[Int32]]) -> String {
    var hash = SHA256()
    for window in windows {
      let numbers = [UInt32(window.count)] + window.map { UInt32(bitPattern: $0) }
      let bytes = numbers.flatMap { number in
        (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
      }
      hash.update(bytes.rawSpan)
    }
    return hash.hex
  }

  public var json: JSON {
    [
      "sources": .strings(sources), "documents": .integer(documents),
      "windows": .integer(windows.count), "window_length": .integer(length),
      "tokens_used": .integer(usedTokens), "tokens_dropped": .integer(droppedTokens),
      "sha256": .string(digest),
    ]
  }
}
