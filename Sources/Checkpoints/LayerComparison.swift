internal import Codecs
internal import Kernels
internal import Synchronization
internal import TensorCore

/// How two layers differ, counted number by number.
public struct LayerComparison: Sendable, Equatable {
  public let name: String
  public var codes = 0
  public var differingCodes = 0
  public var scales = 0
  public var differingScales = 0
  public var zeros = 0
  public var differingZeros = 0
  /// What keeps the two from being compared at all, such as another shape.
  public var mismatch: String?
  /// Where the forms differ: how far the values are from each other, and whether that is near
  /// enough. Nothing else is counted then.
  public var values: ValueComparison?
  public var isWithinTolerance = true

  public init(name: String) {
    self.name = name
  }

  public var isEqual: Bool {
    mismatch == nil && isWithinTolerance && differingCodes + differingScales + differingZeros == 0
  }

  mutating func add(_ other: LayerComparison) {
    codes += other.codes
    differingCodes += other.differingCodes
    scales += other.scales
    differingScales += other.differingScales
    zeros += other.zeros
    differingZeros += other.differingZeros
  }
}

/// Compares layers of two checkpoints by what they hold, whatever layouts they are stored in.
struct LayerComparer {
  private struct Task: Sendable {
    enum Kind { case codes, parameters }
    let pair: Int
    let kind: Kind
    let region: Region
  }

  let pairs: [(a: any PackedLayer, b: any PackedLayer)]
  let threads: Int

  /// Reads both sides in bands. Throws `io`.
  func run(progress: (@Sendable (Int, Int) -> Void)? = nil) throws -> [LayerComparison] {
    let start = pairs.map { pair in
      var result = LayerComparison(name: pair.a.name)
      result.mismatch = Self.mismatch(pair.a.form, pair.b.form)
      return result
    }
    let tasks = start.indices.filter { start[$0].mismatch == nil }.flatMap(tasks)
    let results = Mutex(start)
    let done = Mutex(0)
    try parallelBands(tasks.count, threads: threads) { index, workspace in
      let part = try compare(tasks[index], workspace)
      results.withLock { $0[tasks[index].pair].add(part) }
      let count = done.withLock { sum in
        sum += 1
        return sum
      }
      progress?(count, tasks.count)
    }
    return results.withLock { $0 }
  }

  static func mismatch(_ a: QuantizedForm, _ b: QuantizedForm) -> String? {
    if (a.rows, a.columns) != (b.rows, b.columns) {
      return "\(a.rows) × \(a.columns) against \(b.rows) × \(b.columns)"
    }
    if a.grid != b.grid { return "\(a.grid.bits) bits against \(b.grid.bits)" }
    if a.factor != b.factor { return "the scales differ in kind" }
    if a.grouping != b.grouping { return "the groups differ" }
    return a.offset == b.offset || a.offset.isTerm(of: b.offset) || b.offset.isTerm(of: a.offset)
      ? nil : "the offsets differ in kind"
  }

  private func tasks(of pair: Int) -> [Task] {
    let (a, b) = pairs[pair]
    let isMatched = a.order == b.order && !a.isScattered && !b.isScattered
    let bytes = isMatched ? BandSize.matched : BandSize.turned
    let parameters = QuantizedForm(
      rows: a.form.rows, columns: a.form.groups, grid: a.form.grid, grouping: .columns(size: 1),
      scaleType: a.form.scaleType, offset: a.form.offset)
    return a.form.bands(a.order, bytes: bytes).map { Task(pair: pair, kind: .codes, region: $0) }
      + parameters.bands(.inputMajor, bytes: BandSize.matched).map {
        Task(pair: pair, kind: .parameters, region: $0)
      }
  }

  private func compare(_ task: Task, _ workspace: Workspace) throws -> LayerComparison {
    let (a, b) = pairs[task.pair]
    var result = LayerComparison(name: a.name)
    let region = task.region
    switch task.kind {
    case .codes:
      result.codes = region.count
      if try holdSameWords(region, pair: task.pair, workspace) { return result }
      result.differingCodes = try differences(region.count, 1, workspace) { layer, bytes in
        try (layer == 0 ? a : b).readCodes(region, a.order, into: &bytes, workspace)
      }
    case .parameters:
      result.scales = region.count
      result.differingScales = try differences(region.count, 4, workspace) { layer, bytes in
        try (layer == 0 ? a : b).readFloatScales(region, .inputMajor, into: &bytes, workspace)
      }
      let size = a.form.offset.byteCount
      guard size > 0 else { return result }
      result.zeros = region.count
      guard a.form.offset == b.form.offset else {
        result.differingZeros = try differingTerms(region, pair: task.pair, workspace)
        return result
      }
      result.differingZeros = try differences(region.count, size, workspace) { layer, bytes in
        try (layer == 0 ? a : b).readOffsets(region, .inputMajor, into: &bytes, workspace)
      }
    }
    return result
  }

  /// Whether the packed words of a region are equal, where both layers store such: then no code is
  /// unpacked to be compared.
  private func holdSameWords(
    _ region: Region, pair: Int, _ workspace: Workspace
  ) throws -> Bool {
    let (a, b) = pairs[pair]
    let (count, rest) = (region.count * a.form.grid.bits).quotientAndRemainder(dividingBy: 32)
    guard a.storesWords, b.storesWords, rest == 0,
      region.columns.count * a.form.grid.bits % 32 == 0
    else { return false }
    return try differences(count, 4, workspace) { layer, bytes in
      try (layer == 0 ? a : b).readWords(region, a.order, into: &bytes, workspace)
    } == 0
  }

  /// Counts the groups where one layer's added term is not the other's −(z·s), rounded to the type
  /// that terms are stored in.
  private func differingTerms(
    _ region: Region, pair: Int, _ workspace: Workspace
  ) throws -> Int {
    let (a, b) = pairs[pair]
    let (whole, added) = a.form.offset == .integer ? (a, b) : (b, a)
    guard case .added(let type) = added.form.offset else { return region.count }
    return try workspace.lend(region.count * type.bits / 8) { rounded in
      try whole.readTerms(region, as: type, into: &rounded, workspace)
      return try workspace.lend(region.count * 4) { expected in
        try FloatConversion.toFloat32(type, rounded.bytes, into: &expected)
        return try workspace.lend(region.count * 4) { terms in
          try added.readFloatOffsets(region, .outputMajor, into: &terms, workspace)
          return (0..<region.count).count {
            terms.bytes.float32(at: $0) != expected.bytes.float32(at: $0)
          }
        }
      }
    }
  }

  /// Reads `count` elements of `size` bytes from both layers and counts those that differ.
  private func differences(
    _ count: Int, _ size: Int, _ workspace: Workspace,
    _ read: (_ layer: Int, _ bytes: inout MutableRawSpan) throws -> Void
  ) throws -> Int {
    try workspace.lend(count * size) { first in
      try read(0, &first)
      return try workspace.lend(count * size) { second in
        try read(1, &second)
        let bytes = Bytes.countDifferences(first.bytes, second.bytes)
        guard size > 1, bytes > 0 else { return bytes }
        return (0..<count).count { index in
          let range = index * size..<(index + 1) * size
          return Bytes.countDifferences(first.bytes.part(range), second.bytes.part(range)) > 0
        }
      }
    }
  }
}

extension Offset {
  /// Whether this is an added term that may stand for the whole zero points of the other.
  fileprivate func isTerm(of other: Offset) -> Bool {
    if case .added = self { other == .integer } else { false }
  }
}
