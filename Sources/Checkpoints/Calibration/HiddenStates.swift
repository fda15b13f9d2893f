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
    var shape: WindowShape { WindowShape(sequences: sequences, tokens: tokens) }
  }

  let runs: [Run]
  private let width: Int
  private let dtype: DType
  private var kept: [HeldStates]
  private let file: OutputFile?
  private let reader: InputFile?
  private let offsets: [Int]
  private let workspace = Workspace()

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

  /// The states of a run, on the host. Throws `io`.
  subscript(index: Int) -> [Float] {
    get throws {
      var values = [Float](repeating: 0, count: count(index))
      try values.withMutableBytes { bytes in
        try withNumbers(index) { bytes.copy(from: $0) }
      }
      return values
    }
  }

  /// Puts the states of a run into the beginning of a buffer. Throws `io`, `device`.
  func load(_ index: Int, into buffer: Buffer, of compute: any Compute) throws {
    try withNumbers(index) { try compute.write($0, to: buffer, at: 0) }
  }

  /// Takes the states of a run out of the beginning of a buffer. Throws `io`, `device`.
  func store(_ buffer: Buffer, of compute: any Compute, at index: Int) throws {
    if file == nil, dtype == .f32 {
      return try kept[index].change { try compute.read(buffer, at: 0, into: &$0) }
    }
    try compute.withFloats(buffer, count: count(index)) { values in
      if dtype == .f32 { return try store(values, at: index) }
      try workspace.lend(values.byteCount / 4 * dtype.bits / 8) { narrow in
        try FloatConversion.fromFloat32(dtype, values, into: &narrow)
        try store(narrow.bytes, at: index)
      }
    }
  }

  private func count(_ index: Int) -> Int { runs[index].shape.rows * width }

  private func store(_ bytes: RawSpan, at index: Int) throws {
    guard let file else { return kept[index].change { $0.copy(from: bytes) } }
    try file.write(bytes, at: offsets[index])
  }

  /// Lends the states of a run in f32.
  private func withNumbers(_ index: Int, _ body: (RawSpan) throws -> Void) throws {
    guard let reader else { return try kept[index].lend { try widen($0, body) } }
    try workspace.lend(count(index) * dtype.bits / 8) { stored in
      try reader.read(into: &stored, at: offsets[index])
      try widen(stored.bytes, body)
    }
  }

  private func widen(_ stored: RawSpan, _ body: (RawSpan) throws -> Void) throws {
    if dtype == .f32 { return try body(stored) }
    try workspace.lend(stored.byteCount * 8 / dtype.bits * 4) { values in
      try FloatConversion.toFloat32(dtype, stored, into: &values)
      try body(values.bytes)
    }
  }
}

extension HiddenStates: CalibrationInputs {
  var rows: [Int] { runs.map(\.shape.rows) }

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

  func change(_ body: (inout MutableRawSpan) throws -> Void) rethrows {
    try block.withMutableBytes(count: block.count, body)
  }
}
