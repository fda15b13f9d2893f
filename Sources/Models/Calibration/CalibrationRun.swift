internal import Kernels
internal import TensorCore

/// Hidden states of some calibration windows that go through a block together: f32
/// `[sequences][tokens][hidden]`.
public struct CalibrationRun: Sendable {
  public let sequences: Int
  /// Tokens of each sequence.
  public let tokens: Int
  public var values: [Float]

  public init(sequences: Int, tokens: Int, values: [Float]) {
    self.sequences = sequences
    self.tokens = tokens
    self.values = values
  }

  public var rows: Int { sequences * tokens }
}

/// Hidden states that calibration brings to a block, read run by run, so that memory need not hold them all.
public protocol CalibrationInputs {
  /// Tokens of each run, those of all its sequences.
  var rows: [Int] { get }
  /// Throws `io`.
  func run(_ index: Int) throws -> CalibrationRun
}

extension [CalibrationRun]: CalibrationInputs {
  public var rows: [Int] { map(\.rows) }

  public func run(_ index: Int) -> CalibrationRun { self[index] }
}

extension CausalModel {
  /// Hidden states before the first block of windows `[windows][tokens]` of token ids, `batch` windows a run;
  /// all windows are of one length. Throws `usage` for ids that are no tokens and windows longer than the model
  /// allows.
  public func embed(windows: [[Int32]], batch: Int) throws -> [CalibrationRun] {
    let tokens = windows.first?.count ?? 0
    guard tokens > 0, batch > 0, windows.allSatisfy({ $0.count == tokens }) else {
      throw Failure(
        .usage, at: loader.provider.path, "windows of calibration text",
        expected: "at least one, all of one length",
        found: "\(windows.count), the first of \(tokens) tokens")
    }
    try checkLength(tokens)
    let pool = BufferPool(compute)
    return try stride(from: 0, to: windows.count, by: batch).map { start in
      let part = windows[start..<min(start + batch, windows.count)]
      let ids = part.flatMap(\.self)
      try checkIds(ids)
      let hidden = try ends.embed(ids, at: 0, part.count, pool)
      defer { pool.give(hidden) }
      return CalibrationRun(
        sequences: part.count, tokens: tokens,
        values: try compute.floats(hidden, ids.count * hiddenSize))
    }
  }

  /// Final norm and head of hidden states after the last block: logits `[rows][vocabulary]`.
  public func head(_ run: CalibrationRun) throws -> [Float] {
    let pool = BufferPool(compute)
    let logits = try ends.logits(loader.buffer(run.values), rows: run.rows, pool)
    return try compute.floats(logits, logits.count)
  }
}
