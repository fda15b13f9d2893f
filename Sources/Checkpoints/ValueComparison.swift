internal import Codecs
internal import Kernels
internal import Synchronization
public import TensorCore

/// How far the values of two matrices are from each other, whatever form they are stored in.
public struct ValueComparison: Sendable, Equatable {
  public var values = 0
  /// Values that are not the same number; +0 and −0 are.
  public var differing = 0
  /// The largest difference of two finite values.
  public var maximum = 0.0
  /// The largest distance of two finite values, both rounded to `ulpType`, in steps of that type.
  public var ulps = 0
  /// Values of which one side is NaN, or one is infinite and the other not the same.
  public var unmatched = 0
  /// The coarser of the two types.
  public let ulpType: DType
  /// How the two are stored.
  public let forms: String
  var squaredChange = 0.0
  var squaredSize = 0.0

  init(ulpType: DType, forms: String) {
    self.ulpType = ulpType
    self.forms = forms
  }

  /// The root of the summed squares of the differences, relative to that of the first side; nil
  /// where the first side is all 0 and the second is not.
  public var relativeRMS: Double? {
    guard squaredChange > 0 else { return 0 }
    return squaredSize > 0 ? (squaredChange / squaredSize).squareRoot() : nil
  }

  /// Whether no value is further off than `tolerance` steps.
  public func isEqual(within tolerance: Int) -> Bool {
    unmatched == 0 && ulps <= tolerance
  }

  mutating func add(_ next: ValueComparison) {
    values += next.values
    differing += next.differing
    maximum = max(maximum, next.maximum)
    ulps = max(ulps, next.ulps)
    unmatched += next.unmatched
    squaredChange += next.squaredChange
    squaredSize += next.squaredSize
  }

  mutating func add(_ first: Float, _ second: Float, steps: Int) {
    values += 1
    guard first != second else {
      squaredSize += first.isFinite ? Double(first) * Double(first) : 0
      return
    }
    guard !(first.isNaN && second.isNaN) else { return }
    differing += 1
    guard first.isFinite && second.isFinite else {
      unmatched += 1
      return
    }
    let change = Double(second) - Double(first)
    maximum = max(maximum, change.magnitude)
    squaredChange += change * change
    squaredSize += Double(first) * Double(first)
    ulps = max(ulps, steps)
  }

  /// One line for people.
  public var summary: String {
    let rms = relativeRMS.map(Self.short) ?? "undefined"
    guard differing > 0 else { return "\(forms): all \(values) weights are equal" }
    let lost = unmatched > 0 ? ", \(unmatched) not finite on one side" : ""
    return "\(forms): largest distance \(ulps) ULP of \(ulpType), largest difference "
      + "\(Self.short(maximum)), relative RMS \(rms), \(differing) of \(values) weights not "
      + "identical\(lost)"
  }

  private static func short(_ value: Double) -> String {
    value == 0 ? "0" : "\(Float(value))"
  }

  public var json: JSON {
    [
      "forms": .string(forms), "values": .integer(values), "differing": .integer(differing),
      "max_difference": .real(maximum),
      "relative_rms": relativeRMS.map(JSON.real) ?? .null, "max_ulps": .integer(ulps),
      "ulp_type": .string(ulpType.rawValue), "unmatched": .integer(unmatched),
    ]
  }
}

/// Compares matrices by value, in bands of whole rows.
struct ValueComparer {
  let pairs: [(a: ValueMatrix, b: ValueMatrix)]
  let threads: Int

  /// Reads both sides. The order of summation does not depend on threads. Throws `io`.
  func run(progress: (@Sendable (Int, Int) -> Void)? = nil) throws -> [ValueComparison] {
    let tasks = pairs.indices.flatMap { pair in
      bands(of: pairs[pair].a).map { (pair, $0) }
    }
    let parts = Gathered<ValueComparison>(count: tasks.count)
    let done = Mutex(0)
    try parallelBands(tasks.count, threads: threads) { index, workspace in
      let (pair, rows) = tasks[index]
      parts.set(try compare(pairs[pair], rows, workspace), at: index)
      let count = done.withLock { sum in
        sum += 1
        return sum
      }
      progress?(count, tasks.count)
    }
    var results = pairs.map(Self.start)
    for ((pair, _), part) in zip(tasks, parts.values) { results[pair].add(part) }
    return results
  }

  private func bands(of matrix: ValueMatrix) -> [Range<Int>] {
    let wanted = BandSize.turned / 16 / max(matrix.columns, 1)
    let step = max(wanted / Region.alignment * Region.alignment, Region.alignment)
    return stride(from: 0, to: matrix.rows, by: step).map { $0..<min($0 + step, matrix.rows) }
  }

  private static func start(_ pair: (a: ValueMatrix, b: ValueMatrix)) -> ValueComparison {
    let forms =
      pair.a.summary == pair.b.summary
      ? pair.a.summary : "\(pair.a.summary) against \(pair.b.summary)"
    return ValueComparison(ulpType: coarser(pair.a.dtype, pair.b.dtype), forms: forms)
  }

  /// Of the types that can be written, from the coarsest.
  private static func coarser(_ a: DType, _ b: DType) -> DType {
    [.bf16, .f16].first { $0 == a || $0 == b } ?? .f32
  }

  private func compare(
    _ pair: (a: ValueMatrix, b: ValueMatrix), _ rows: Range<Int>, _ workspace: Workspace
  ) throws -> ValueComparison {
    var result = Self.start(pair)
    let count = rows.count * pair.a.columns
    try workspace.lend(count * 4) { first in
      try pair.a.read(rows, into: &first, workspace)
      try workspace.lend(count * 4) { second in
        try pair.b.read(rows, into: &second, workspace)
        try add(first.bytes, second.bytes, to: &result, workspace)
      }
    }
    return result
  }

  private func add(
    _ first: RawSpan, _ second: RawSpan, to result: inout ValueComparison, _ workspace: Workspace
  ) throws {
    let count = first.byteCount / 4
    let size = result.ulpType.bits / 8
    try workspace.lend(count * size) { a in
      try FloatConversion.fromFloat32(result.ulpType, first, into: &a)
      try workspace.lend(count * size) { b in
        try FloatConversion.fromFloat32(result.ulpType, second, into: &b)
        for index in 0..<count {
          let steps = Self.position(a.bytes, index, size) - Self.position(b.bytes, index, size)
          result.add(first.float32(at: index), second.float32(at: index), steps: abs(steps))
        }
      }
    }
  }

  /// The place of a stored float among all of its type, in order of value; both zeros are at 0.
  private static func position(_ bytes: RawSpan, _ index: Int, _ size: Int) -> Int {
    let bits = size == 2 ? Int(bytes.uint16(at: index)) : Int(bytes.uint32(at: index))
    let sign = 1 << (size * 8 - 1)
    return bits < sign ? bits : sign - bits
  }
}
