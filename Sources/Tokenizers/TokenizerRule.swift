internal import TensorCore

/// The rules a `tokenizer.json` must keep; a `Failure` cites one as `TK-n`.
///
/// The numbers are those of `Formats/tokenizer.md`: they are never given to another rule.
public enum TokenizerRule: Int, CaseIterable, Sendable {
  /// Fields are of the types that their readers expect.
  case fieldType = 1
  /// The model is BPE.
  case model
  /// What would make the ids random or change them in another way is off.
  case modelOption
  /// Each token of the vocabulary has an id of its own, and no id is far above their number.
  case vocabularyId
  /// A merge names two tokens of the vocabulary whose union is one too.
  case merge
  /// `unk_token` is a token.
  case unknownToken
  /// An added token has its id of the vocabulary, or else the next free one.
  case addedTokenId
  /// Added tokens are not longer than their limit.
  case addedTokenLength
  /// Every normalizer is a known one.
  case normalizer
  /// Every pre-tokenizer is a known one, at a place where it can stand.
  case preTokenizer
  /// A pattern is a regular expression of the subset that is read.
  case pattern
  /// A pattern finds its way through the text in few steps.
  case patternSteps
  /// Every post-processor is a known one, and its tokens have ids.
  case postProcessor
  /// Every decoder is a known one.
  case decoder
  /// Ids to decode belong to tokens.
  case knownId
  /// Texts are not longer than 1 GiB.
  case textLength

  /// The number as errors print it, such as `TK-5`.
  public var name: String { "TK-\(rawValue)" }
}

extension Failure {
  static func tokenizer(
    _ rule: TokenizerRule, _ kind: Kind = .malformed, at place: String, _ what: String,
    expected: String? = nil, found: String? = nil
  ) -> Failure {
    Failure(kind, at: place, what, expected: expected, found: found, rule: rule.name)
  }
}
