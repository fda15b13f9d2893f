import ArgumentParser
import Checkpoints
import Glibc

/// How the command ends when something was thrown.
enum Exit {
  /// A result that is itself the reason for a code: everything has been printed already.
  struct Silently: Error {
    let kind: Failure.Kind
  }

  /// Prints the reason to stderr, and as JSON to stdout where that was asked for, then exits with
  /// the documented code.
  static func now(after error: any Error, json: Bool) -> Never {
    switch error {
    case let silent as Silently: exit(silent.kind.exitCode)
    case let failure as Failure:
      if json { Terminal.print(JSON.object(JSONObject(["error": failure.json])).text(indent: 2)) }
      Terminal.complain("nibble: \(failure)")
      exit(failure.kind.exitCode)
    default:
      // Help and version end here too, with code 0 and text for stdout.
      let code = Nibble.exitCode(for: error)
      let text = Nibble.fullMessage(for: error)
      if code.isSuccess { Terminal.print(text) } else { Terminal.complain(text) }
      exit(code.isSuccess ? 0 : Failure.Kind.usage.exitCode)
    }
  }
}
