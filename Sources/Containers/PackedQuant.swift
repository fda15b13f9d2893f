internal import TensorCore

/// The packed-quant container: a whole model in one file (`Formats/packed-quant.md`).
public enum PackedQuant {
  /// What the names of containers end in.
  public static let suffix = ".pquant"
  static let version = 1
  static let headerBytes = 64
  static let footerBytes = 96
  static let headMagic: [UInt8] = [0x89, 0x50, 0x51, 0x55, 0x41, 0x4E, 0x54, 0x0A]
  static let endMagic: [UInt8] = [0x50, 0x51, 0x45, 0x4E, 0x44, 0x0D, 0x0A, 0x1A]
  /// Raw pieces of at least so many bytes are aligned.
  static let alignedBytes = 4096

  /// What raw pieces begin at multiples of. The only stream of a blob can be mapped as a whole,
  /// others a chunk at a time: less padding is enough for these.
  static func alignment(streams: Int) -> Int { streams == 1 ? 64 : 16 }

  /// Restored bytes of a chunk that is written, as near as the transform allows.
  public static let chunkBytes = 1 << 20

  /// What a reader allows (PQ-8, PQ-13, PQ-16, PQ-19).
  enum Limits {
    static let directoryBytes = 1 << 28
    static let directoryRatio = 1024
    static let chunkBytes = 1 << 24
    static let nameBytes = 1024
    static let pathBytes = 4096
    static let pathPartBytes = 255
    static let pathParts = 64
    static let rank = 32
  }

  /// Whether there is a file at `path` that begins like a container.
  public static func isContainer(_ path: String) -> Bool {
    guard FileSystem.kind(of: path) == .file, let file = try? InputFile(path: path),
      file.size >= headMagic.count
    else { return false }
    return (try? file.contents(0..<headMagic.count)) == headMagic
  }

  static func failure(
    _ what: String, at place: String, expected: String? = nil, found: String? = nil, _ rule: Int,
    _ kind: Failure.Kind = .malformed, remedy: String? = nil
  ) -> Failure {
    Failure(
      kind, at: place, what, expected: expected, found: found, rule: "PQ-\(rule)", remedy: remedy)
  }
}
