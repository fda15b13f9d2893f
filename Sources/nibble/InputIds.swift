import ArgumentParser
import Checkpoints

/// Token ids as they are written on a command line: `1,2,3`, or a file of them.
enum InputIds {
  /// Ids with blanks or commas between them, or what the file of that name holds. Throws `usage`, `io`.
  static func ids(_ argument: String) throws -> [UInt32] {
    let isList = argument.utf8.allSatisfy { separators.contains($0) || (0x30...0x39).contains($0) }
    guard !isList || FileSystem.kind(of: argument) == .file else {
      return try parse(Array(argument.utf8), at: "--input-ids")
    }
    guard FileSystem.kind(of: argument) != nil else {
      throw Failure(
        .usage, at: "--input-ids", "neither token ids nor a file", found: argument)
    }
    return try parse(
      FileSystem.contents(of: argument, limit: Tokenizer.mostTextBytes), at: argument)
  }

  private static let separators = Set(" \t\r\n,".utf8)

  static func parse(_ bytes: [UInt8], at place: String) throws -> [UInt32] {
    try bytes.split { separators.contains($0) }.map { word in
      let text = String(decoding: word, as: UTF8.self)
      guard let id = UInt32(text), id <= UInt32(Int32.max) else {
        throw Failure(.usage, at: place, "not a token id", found: text)
      }
      return id
    }
  }
}
