internal import Containers
public import Kernels
public import Quantizers
internal import TensorCore

/// Optimizer states with more or fewer bits.
public struct OptimizerConversion: Sendable {
  public enum Target: String, CaseIterable, Sendable {
    case bits8 = "8bit"
    case bits32 = "32bit"
  }

  public let target: Target
  /// Parameters whose states change.
  public let converted: [OptimizerName]
  /// Large parameters whose states stay in 32 bits, by request or because they are the only such
  /// ones of a file of 8-bit states, where an override has been at work.
  public let kept: [OptimizerName]
  private let states: OptimizerStates
  private let rules: PeerRules

  /// `keeps32` names parameters that stay in 32 bits, as `StableEmbedding` and `Embedding` register
  /// for their weights. Nothing is read beyond the header.
  public init(
    _ states: OptimizerStates, to target: Target, rules: PeerRules = .cuda,
    keeps32: (String) -> Bool = { _ in false }
  ) {
    (self.states, self.target, self.rules) = (states, target, rules)
    let hasOverrides = states.entries.contains { $0.bits == 8 }
    func isKept(_ entry: OptimizerEntry) -> Bool {
      entry.bits == 32 && entry.count >= StatePolicy.minimumCount
        && (hasOverrides || keeps32(entry.name.text))
    }
    kept = target == .bits8 ? states.entries.filter(isKept).map(\.name) : []
    converted = states.entries.filter { entry in
      switch target {
      case .bits32: entry.bits == 8
      case .bits8:
        entry.bits == 32 && StatePolicy.is8Bit(count: entry.count, isOverridden: isKept(entry))
      }
    }.map(\.name)
  }

  /// Writes the file, a band at a time; it takes its name when all is in it. O(values), memory of
  /// some bands for each thread and the scales of one parameter.
  ///
  /// Throws `usage` where the output is the source or is there without `force`, `malformed` for
  /// damaged scales, `cannotRepresent` where a 32-bit state is not finite, `io`.
  public func write(
    to path: String, force: Bool = false, sync: Bool = true, threads: Int = Processor.cores
  ) throws {
    guard force || FileSystem.kind(of: path) == nil else {
      throw Failure(
        .usage, at: path, "the output is there already", remedy: "--force replaces it")
    }
    guard FileSystem.realPath(path) != FileSystem.realPath(states.path) else {
      throw Failure(.usage, at: path, "the output is the source")
    }
    let file = try OutputFile(path: path)
    let changed = Set(converted)
    let parts = states.entries.flatMap { Array($0.parts.values) } + states.others
    let partners = states.entries.flatMap { entry in
      OptimizerEntry.partners.map { entry.path(of: $0) }
    }
    let stream = try SafetensorsStream(
      to: file, names: parts.map(\.name) + partners,
      maxRank: max(2, parts.map(\.shape.dimensions.count).max() ?? 0), metadata: states.metadata)
    for entry in states.entries {
      let writer = StateWriter(
        entry: entry, file: file, stream: stream, rules: rules, threads: threads)
      let isChanged = changed.contains(entry.name)
      if isChanged { try target == .bits32 ? writer.expand() : writer.quantize() }
      for (key, tensor) in entry.parts.sorted(by: { $0.key < $1.key }) {
        let isState = entry.stateKeys.contains(key) || OptimizerEntry.partners.contains(key)
        if !(isChanged && isState) { try writer.copy(tensor) }
      }
    }
    for tensor in states.others {
      try StateWriter.copy(tensor, to: file, stream)
    }
    try stream.finish(sync: sync)
  }
}

extension OptimizerEntry {
  /// The name of a tensor beside the first state.
  func path(of key: String) -> String {
    (parts["state1"]?.name ?? "").dropLast("state1".count) + key
  }
}
