internal import Kernels
public import TensorCore

/// What a calibrated run will hold in memory, in bytes, known from shapes alone.
public struct MemoryForecast: Sendable, Equatable {
  /// Hidden states of all windows.
  public let hiddenStates: Int
  /// The weights of the largest block.
  public let block: Int
  /// The largest Hessian with what factoring it takes.
  public let hessian: Int
  /// Embedding and head.
  public let ends: Int
  /// What a run of windows needs on its way through a block.
  public let activations: Int
  /// What Hessians of one pass may take.
  let hessianRoom: Int

  /// All but the hidden states, which may go to a file.
  public var least: Int { block + hessian + ends + activations }

  /// A sum, its ordered copy, a root and a factor; and a chunk of inputs.
  static func hessianBytes(_ columns: Int) -> Int {
    let square = columns.multiplied(by: columns) ?? Int.max / 32
    return square * 4 * 4 + columns * 4096
  }

  /// `limit` is what the user allows; nil: no limit.
  init(_ source: Checkpoint, _ modules: QuantizedModules, _ calibration: Calibration?, limit: Int?)
  {
    let config = source.config.model?.object
    let inner = config?["text_config"]?.object
    let width = (config?["hidden_size"] ?? inner?["hidden_size"])?.int ?? 0
    let tokens = HiddenStates.runs(of: calibration?.windows ?? []).map { $0.sequences * $0.tokens }
    hiddenStates = (tokens.reduce(0, +).multiplied(by: width * 4)) ?? Int.max
    block =
      modules.blocks.map { block in
        block.reduce(0) { $0 + $1.rows * $1.columns * 4 }
      }.max() ?? 0
    hessian = modules.modules.map { Self.hessianBytes($0.columns) }.max() ?? 0
    ends = source.denseTensors.filter {
      let name = String($0.name.dropLast(".weight".count))
      return LinearModules.isEmbedding(name) || LinearModules.isHead(name)
    }.reduce(0) { $0 + $1.byteCount }
    let widest = modules.modules.map { max($0.rows, $0.columns) }.max() ?? 0
    activations = (tokens.max() ?? 0) * (widest * 3 + width * 6) * 4
    hessianRoom = max(hessian, (limit ?? 16_000_000_000) / 2)
  }

  public var json: JSON {
    [
      "hidden_states": .integer(hiddenStates), "block": .integer(block),
      "hessian": .integer(hessian), "ends": .integer(ends),
      "activations": .integer(activations), "least": .integer(least),
    ]
  }
}
