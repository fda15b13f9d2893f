internal import Kernels
internal import Models
internal import TensorCore

/// What stands between two blocks (or the halves of one) for all calibration windows: runs of windows of one length,
/// `[sequences][tokens][width]` each, in f32 or rounded to bf16. In memory, or in a file where that would be too much.
final class HiddenStates {
  /// Windows that go through a block together.
  struct Run: Sendable, Equatable {
    let windows: Range<Int>
    let tokens: Int

    var sequences: Int { windows.count }
  }

  let runs: [Run]
  private let width: Int
  private let dtype: DType
  private var kept: [HeldStates]
  private let file: OutputFile?
  private let reader: InputFile?
  private let offsets: [Int]

  /// Tokens of a run, where a window is not longer by itself.
  private static let tokens = 2048

  /// `dtype`: f32 or bf16. `spill` is the path of the file beside which they are kept on disk; nil keeps them in
  /// memory. Throws `io`.
  init(_ windows: [[Int32]], width: Int, dtype: DType, spill: String?) throws {
    runs = Self.runs(of: windows)
    (self.width, self.dtype) = (width, dtype)
    kept = []
    var offsets: [Int] = []
    var end = 0
    for run in runs {
      let count = run.sequences * run.tokens * width * dtype.bits / 8
      offsets.append(end)
      end += count
      if spill == nil { kept.append(HeldStates(count)) }
    }
    self.offsets = offsets
    file = try spill.map { try OutputFile(path: $0) }
    reader = try file.map { try InputFile(path: $0.temporary) }
    try file?.reserve(end)
  }

  /// Neighbouring windows of one length, up to a number of tokens.
  static func runs(of windows: [[Int32]]) -> [Run] {
    var runs: [Run] = []
    for (index, window) in windows.enumerated() {
      if let last = runs.last, last.tokens == window.count,
        (last.sequences + 1) * last.tokens <= tokens
      {
        runs[runs.count - 1] = Run(
          windows: last.windows.lowerBound..<index + 1, tokens: last.tokens)
      } else {
        runs.append(Run(windows: index..<index + 1, tokens: window.count))
      }
    }
    return runs
  }

  /// Throws `io`.
  subscript(index: Int) -> [Float] {
    get throws {
      let run = runs[index]
      let count = run.sequences * run.tokens * width
      guard let reader else { return try kept[index].lend { try widened($0, count) } }
      return try Workspace().lend(count * dtype.bits / 8) { stored in
        try reader.read(into: &stored, at: offsets[index])
        return try widened(stored.bytes, count)
      }
    }
  }

  /// Throws `io`.
  func set(_ values: [Float], at index: Int) throws {
    guard dtype != .f32 else { return try store(values.rawSpan, at: index) }
    try Workspace().lend(values.count * dtype.bits / 8) { narrow in
      try FloatConversion.fromFloat32(dtype, values.rawSpan, into: &narrow)
      try store(narrow.bytes, at: index)
    }
  }

  private func store(_ bytes: RawSpan, at index: Int) throws {
    guard let file else { return kept[index].take(bytes) }
    try file.write(bytes, at: offsets[index])
  }

  private func widened(_ stored: RawSpan, _ count: Int) throws -> [Float] {
    var values = [Float](repeating: 0, count: count)
    try values.withMutableBytes { bytes in
      if dtype == .f32 { return bytes.copy(from: stored) }
      try FloatConversion.toFloat32(dtype, stored, into: &bytes)
    }
    return values
  }
}

extension HiddenStates: CalibrationInputs {
  var rows: [Int] { runs.map { $0.sequences * $0.tokens } }

  func run(_ index: Int) throws -> CalibrationRun {
    CalibrationRun(
      sequences: runs[index].sequences, tokens: runs[index].tokens, values: try self[index])
  }
}

/// The states of one run in memory.
private final class HeldStates {
  private var block: AlignedBytes

  init(_ count: Int) { block = AlignedBytes(count: count) }

  func lend<Result>(_ body: (RawSpan) throws -> Result) rethrows -> Result {
    try block.withBytes(body)
  }

  func take(_ bytes: RawSpan) {
    block.withMutableBytes(count: block.count) { $0.copy(from: bytes) }
  }
}
