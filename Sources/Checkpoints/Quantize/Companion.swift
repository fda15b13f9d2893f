internal import Codecs
internal import Kernels
internal import TensorCore

/// A smaller tensor that comes of making bands of a larger one, so that what both are made from is
/// read once.
public struct Companion: Sendable {
  /// Fills the bytes of both that belong to rows of the larger one.
  typealias Make =
    @Sendable (
      _ rows: Range<Int>, _ bytes: inout MutableRawSpan, _ companion: inout MutableRawSpan,
      _ workspace: Workspace
    ) throws -> Void

  /// The companion by itself.
  let part: EncodedPart
  /// Its bytes that belong to rows of the larger tensor.
  let bytes: @Sendable (_ rows: Range<Int>) -> Range<Int>
  let make: Make
}

/// The tensors made from one dense weight.
struct QuantizedParts {
  let weight: EncodedPart
  /// Largest magnitudes, where they can be made beside the weight.
  let companion: Companion?
  let others: [EncodedPart]
}
