extension OutputGuard {
  /// Throws `usage` where a file is there that may not be replaced, or something that is no file.
  static func checkFile(_ path: String, force: Bool) throws {
    switch FileSystem.kind(of: path) {
    case nil: return
    case .file? where force: return
    case .file?:
      throw Failure(
        .usage, at: path, "the output is there already", remedy: "--force replaces it")
    default: throw Failure(.usage, at: path, "the output is not a file")
    }
  }
}
