internal import Kernels
public import TensorCore

/// What is in the states of a parameter.
public struct StateReport: Sendable {
  public let entry: OptimizerEntry
  /// For each state the smallest and the largest scale, and how many of the 256 codes occur; of
  /// 32-bit states the smallest and the largest value.
  public let states: [Figures]

  public struct Figures: Sendable {
    public let key: String
    public let minimum: Float
    public let maximum: Float
    /// nil with 32 bits.
    public let usedCodes: Int?
    /// Values that are NaN or infinite; none can be in 8 bits.
    public let notFinite: Int
  }

  /// Reads all states, a band at a time. O(values).
  public init(_ entry: OptimizerEntry) throws {
    self.entry = entry
    states = try entry.stateKeys.map { key in
      entry.bits == 8 ? try Self.codes(entry, key) : try Self.values(entry, key)
    }
  }

  private static func codes(_ entry: OptimizerEntry, _ key: String) throws -> Figures {
    let blocks = try StateBlocks(entry, key, rules: .cuda)
    var bins = [UInt64](repeating: 0, count: 256)
    try blocks.state.forEachBlock { Bytes.addHistogram(of: $1, to: &bins) }
    return Figures(
      key: key, minimum: blocks.scales.min() ?? 0, maximum: blocks.scales.max() ?? 0,
      usedCodes: bins.count { $0 > 0 }, notFinite: 0)
  }

  private static func values(_ entry: OptimizerEntry, _ key: String) throws -> Figures {
    var statistics = FloatStatistics()
    if let state = entry.parts[key] {
      try state.forEachBlock { statistics.merge(FloatStatistics($1)) }
    }
    return Figures(
      key: key, minimum: statistics.minimum, maximum: statistics.maximum, usedCodes: nil,
      notFinite: statistics.nanCount + statistics.infiniteCount)
  }
}

extension StateReport {
  public var json: JSON {
    var object = JSONObject([
      "parameter": .string(entry.name.text), "kind": .string(entry.kind.rawValue),
      "count": .integer(entry.count), "bits": .integer(entry.bits),
    ])
    if let block = entry.block { object["block"] = .integer(block) }
    object["states"] = .array(
      states.map { figures in
        var state = JSONObject([
          "key": .string(figures.key), "minimum": .real(Double(figures.minimum)),
          "maximum": .real(Double(figures.maximum)),
        ])
        state["used_codes"] = figures.usedCodes.map { .integer($0) }
        state["not_finite"] = .integer(figures.notFinite)
        return .object(state)
      })
    return .object(object)
  }
}
