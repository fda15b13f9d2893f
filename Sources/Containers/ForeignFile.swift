internal import TensorCore

/// Kinds of file that get passed as safetensors by mistake, told by their first bytes.
///
/// Asked only after the strict checks have failed, so that a valid file that happens to begin like
/// another kind is never refused.
enum ForeignFile {
  /// The bytes of a file that recognition looks at.
  static let headLength = 512

  /// The failure that names what the file is and what to do; nil where nothing is recognised.
  static func recognised(by head: [UInt8], at place: String) -> Failure? {
    if head.isEmpty {
      return Failure(
        .malformed, at: place, "the file is empty", rule: "ST-20", remedy: "fetch it again")
    }
    guard let signature = signatures.first(where: { $0.matches(head) }) else { return nil }
    return Failure(
      signature.kind, at: place, signature.what, rule: signature.rule, remedy: signature.remedy)
  }

  struct Signature: Sendable {
    let rule: String
    let kind: Failure.Kind
    let what: String
    let remedy: String
    let matches: @Sendable ([UInt8]) -> Bool
  }

  /// In order: the first that matches names the file.
  static let signatures = [
    Signature(
      rule: "ST-21", kind: .malformed, what: "a git-lfs pointer, not the file it stands for",
      remedy: "run git lfs pull, or download the file itself"
    ) { $0.starts(with: "version https://git-lfs".utf8) },
    Signature(
      rule: "ST-22", kind: .unsupported, what: "a PyTorch pickle, which can run code when opened",
      remedy: "convert it with a tool you trust, in a sandbox, or fetch the safetensors version"
    ) { isPickle($0) || isZip($0) && $0.contains("data.pkl") },
    Signature(
      rule: "ST-23", kind: .unsupported, what: "a GGUF file",
      remedy: "open it as GGUF"
    ) { $0.starts(with: "GGUF".utf8) },
    Signature(
      rule: "ST-24", kind: .malformed, what: "a web page, such as a login or an error message",
      remedy: "fetch the file again; it may need an access token"
    ) { head in ["<!doctype", "<html", "<?xml"].contains { head.beginsWithText($0) } },
    Signature(
      rule: "ST-25", kind: .malformed, what: "a JSON text, such as a shard index or a config",
      remedy: "open the folder, or an index under a name that ends in .index.json"
    ) { ["{", "["].contains(where: $0.beginsWithText) },
    Signature(
      rule: "ST-26", kind: .unsupported, what: "a compressed file (gzip or zstd)",
      remedy: "decompress it first"
    ) { $0.starts(with: [0x1F, 0x8B, 8]) || $0.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) },
    Signature(
      rule: "ST-27", kind: .unsupported, what: "a zip archive or NumPy file",
      remedy: "unpack it, or save its arrays as safetensors"
    ) { isZip($0) || $0.starts(with: [0x93] + "NUMPY".utf8) },
    Signature(
      rule: "ST-28", kind: .unsupported, what: "an HDF5 file, such as Keras weights",
      remedy: "save its weights as safetensors"
    ) { $0.starts(with: [0x89] + "HDF\r\n".utf8) },
    Signature(
      rule: "ST-29", kind: .malformed, what: "zero bytes where the header should be",
      remedy: "the download was set aside but never filled: fetch the file again"
    ) { $0.count >= 16 && $0.allSatisfy { $0 == 0 } },
  ]

  /// Protocols 2 … 5, followed by an opcode that begins a container, a number or a frame.
  private static func isPickle(_ head: [UInt8]) -> Bool {
    head.count > 2 && head[0] == 0x80 && 2...5 ~= head[1]
      && ("}](cXKMJ".utf8.contains(head[2]) || [0x8A, 0x8C, 0x95].contains(head[2]))
  }

  private static func isZip(_ head: [UInt8]) -> Bool {
    head.starts(with: [0x50, 0x4B, 3, 4]) || head.starts(with: [0x50, 0x4B, 5, 6])
  }
}

extension [UInt8] {
  fileprivate func contains(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return indices.contains { self[$0...].starts(with: bytes) }
  }

  /// Whether this is text (a header length holds zeros), and `text` in any case is the first thing
  /// in it behind a byte order mark and blanks.
  fileprivate func beginsWithText(_ text: String) -> Bool {
    guard !prefix(8).contains(0) else { return false }
    let body = starts(with: [0xEF, 0xBB, 0xBF]) ? self[3...] : self[...]
    let visible = body.drop { " \t\r\n".utf8.contains($0) }
    return visible.prefix(text.utf8.count).elementsEqual(text.utf8) {
      $0 | (65...90 ~= $0 ? 0x20 : 0) == $1
    }
  }
}
