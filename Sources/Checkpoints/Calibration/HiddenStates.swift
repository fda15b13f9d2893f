internal import Kernels
internal import TensorCore

/// What stands between two blocks for all calibration windows: runs of windows of one length, f32
/// `[sequences][tokens][width]` each. In memory, or in a file where that would be too much.
final class HiddenStates {
  /// Windows that go through a block together.
  struct Run: Sendable, Equatable {
    let windows: Range<Int>
    let tokens: Int

    var sequences: Int { windows.count }
  }

  let runs: [Run]
  private let width: Int
  private var kept: [[Float]]
  private let file: OutputFile?
  private let reader: InputFile?
  private let offsets: [Int]

  /// Tokens of a run, where a window is not longer by itself.
  private static let tokens = 2048

  /// `spill` is the path of the file beside which they are kept on disk; nil keeps them in memory. Throws `io`.
  init(_ windows: [[Int32]], width: Int, spill: String?) throws {
    runs = Self.runs(of: windows)
    self.width = width
    kept = [[Float]](repeating: [], count: runs.count)
    var offsets: [Int] = []
    var end = 0
    for run in runs {
      offsets.append(end)
      end += run.sequences * run.tokens * width * 4
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
      guard let reader else { return kept[index] }
      let run = runs[index]
      let count = run.sequences * run.tokens * width
      let bytes = try reader.contents(offsets[index]..<offsets[index] + count * 4)
      return (0..<count).map { bytes.rawSpan.float32(at: $0) }
    }
  }

  /// Throws `io`.
  func set(_ values: [Float], at index: Int) throws {
    guard let file else {
      kept[index] = values
      return
    }
    try file.write(values.rawSpan, at: offsets[index])
  }
}
