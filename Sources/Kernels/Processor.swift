internal import CKernels
internal import TensorCore

/// What the machine can do, and which of it the kernels use.
public enum Processor {
  /// The environment variable that caps the level: the name of one, such as `plain`.
  public static let variable = "NIBBLE_CPU"

  /// One instruction set for which all kernels exist. All levels give the same bytes.
  @safe
  public struct Level: Sendable, CustomStringConvertible {
    // SAFETY: tables are filled before `main` and never change or go away.
    nonisolated(unsafe) let kernels: UnsafePointer<ck_kernels>

    public let name: String

    public var description: String { name }

    /// The fastest level this processor can run, or the one the environment caps it to.
    public static let best: Level = {
      let cap = levels.firstIndex { $0.name == requestedName } ?? levels.count - 1
      return levels[cap]
    }()
  }

  /// Every level this processor can run, from the slowest (`plain`) to the fastest.
  public static let levels: [Level] = (0..<ck_level_count()).compactMap { index in
    // SAFETY: the table and its name are constants of the C library.
    guard let kernels = unsafe ck_level(index) else { return nil }
    return unsafe Level(kernels: kernels, name: String(cString: kernels.pointee.name))
  }

  /// The names of the processor's features that decide about levels, now or later.
  public static let flags: [String] = {
    var names: [String] = []
    // SAFETY: the names are constants of the C library.
    while let name = unsafe ck_processor_flag(names.count) {
      unsafe names.append(String(cString: name))
    }
    return names
  }()

  /// The cores this process may run on, at least one.
  public static let cores = max(1, ck_processor_cores())

  /// Throws a usage failure if the environment asks for a level this processor does not have.
  public static func checkEnvironment() throws {
    guard let name = requestedName, !levels.contains(where: { $0.name == name }) else { return }
    throw Failure(
      .usage, at: variable, "no such level on this processor",
      expected: levels.map(\.name).joined(separator: " or "), found: name)
  }

  private static let requestedName = environment(variable)
}
