internal import Codecs
public import TensorCore

/// Bytes that a run writes, known from shapes alone.
public struct DiskForecast: Sendable, Equatable {
  /// All outputs: packed layers and what is carried over.
  public let outputs: Int
  /// Blocks as they are quantized, until the outputs are proven.
  public let blocks: Int
  /// Hidden states that memory has no room for.
  public let states: Int

  public var total: Int { outputs + blocks + states }

  init(
    _ source: Checkpoint, _ modules: QuantizedModules, _ forecasts: [FormatForecast], states: Int
  ) {
    let replaced = Set(modules.modules.map(\.weight.name))
    let carried = source.tensors.tensors.filter { !replaced.contains($0.name) }.reduce(0) {
      $0 + $1.byteCount
    }
    outputs = forecasts.reduce(0) { $0 + $1.byteCount + carried }
    // 32-bit words of codes, and a scale and a zero point for each group.
    blocks = modules.modules.reduce(0) { sum, module in
      let groups = module.columns.dividedRoundingUp(by: module.groupSize)
      let words = module.columns.dividedRoundingUp(by: 32 / module.settings.bits)
      return sum + module.rows * (words * 4 + groups * 5)
    }
    self.states = states
  }

  /// Throws `io` where a file system has less room.
  public func check(free: Int, at path: String) throws(Failure) {
    guard free < total else { return }
    throw Failure(
      .io, at: path, "the disk has no room for the run", expected: "\(total) bytes free",
      found: "\(free)",
      remedy: states > 0 ? "more memory (--max-memory) keeps \(states) bytes off the disk" : nil)
  }

  public var json: JSON {
    [
      "outputs": .integer(outputs), "blocks": .integer(blocks), "hidden_states": .integer(states),
      "total": .integer(total),
    ]
  }
}
