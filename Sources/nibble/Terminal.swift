import Glibc
import Synchronization

/// Data goes to stdout, reasons and progress to stderr.
enum Terminal {
  static func print(_ text: String) {
    write(text + "\n", to: STDOUT_FILENO)
  }

  static func complain(_ text: String) {
    write(text + "\n", to: STDERR_FILENO)
  }

  /// A part of a line of data, shown at once.
  static func show(_ text: String) {
    write(text, to: STDOUT_FILENO)
  }

  /// A part of a line of progress.
  static func note(_ text: String) {
    write(text, to: STDERR_FILENO)
  }

  static func write(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      // SAFETY: the pointer is valid for the count inside the closure.
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      if count < 0 && errno == EINTR { continue }
      // A reader that went away is no error of ours.
      guard count > 0 else { return }
      bytes = bytes.dropFirst(count)
    }
  }

  static var showsProgress: Bool { isatty(STDERR_FILENO) == 1 }

  /// Whether colours help: a terminal, and nobody asked for none.
  static let usesColor: Bool = {
    // SAFETY: the value is only compared with nil.
    unsafe isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil
  }()

  static func bold(_ text: String) -> String { usesColor ? "\u{1B}[1m\(text)\u{1B}[0m" : text }
  static func dim(_ text: String) -> String { usesColor ? "\u{1B}[2m\(text)\u{1B}[0m" : text }
  static func red(_ text: String) -> String { usesColor ? "\u{1B}[31m\(text)\u{1B}[0m" : text }
}

/// A progress line on a terminal; elsewhere one plain line a stage.
final class ProgressLine: Sendable {
  private let shown = Mutex<(stage: String, percent: Int)>(("", -1))

  func update(_ stage: String, _ done: Int, _ total: Int) {
    let percent = total > 0 ? done * 100 / total : 100
    let isNews = shown.withLock { last in
      let news = last.stage != stage || percent > last.percent
      if news { last = (stage, percent) }
      return news
    }
    guard isNews else { return }
    if Terminal.showsProgress {
      let filled = percent * 30 / 100
      let bar = String(repeating: "█", count: filled) + String(repeating: "·", count: 30 - filled)
      Terminal.write("\r\(stage) \(bar) \(percent) %", to: STDERR_FILENO)
      if percent == 100 { Terminal.write("\r\u{1B}[K", to: STDERR_FILENO) }
    } else if percent == 100 {
      Terminal.complain("\(stage): done")
    }
  }
}
