import Checkpoints
import Synchronization

/// A file that lines are added to as they come.
final class LineLog: Sendable {
  private let file: OutputFile
  private let end = Mutex(0)

  /// Throws `io`.
  init(path: String) throws {
    file = try OutputFile(path: path)
  }

  /// A line that can't be written is left out: a log stops no run.
  func write(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    end.withLock { end in
      guard (try? file.write(bytes, at: end)) != nil else { return }
      end += bytes.count
    }
  }

  /// Gives the file its name. Throws `io`.
  func close() throws { try file.commit(byteCount: end.withLock { $0 }, sync: false) }
}
