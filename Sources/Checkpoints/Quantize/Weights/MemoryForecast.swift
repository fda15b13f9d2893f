internal import Kernels
internal import Models
internal import Quantizers
public import TensorCore

/// What a calibrated run will hold in memory, in bytes, known from shapes alone.
public struct MemoryForecast: Sendable, Equatable {
  /// Hidden states of all windows.
  public private(set) var hiddenStates = 0
  /// The tensors of the largest block as they are stored, and its layers as they are made.
  public private(set) var block = 0
  /// The largest layer while it is quantized: its weight in f32, codes, and panels of threads.
  public private(set) var layer = 0
  /// The largest Hessian and what factoring it takes.
  public private(set) var hessian = 0
  /// Embedding and head.
  public private(set) var ends = 0
  /// What a run of windows needs on its way through a block.
  public private(set) var activations = 0
  /// What AWQ's search of one site takes: its weights in f32, as they were, rounded and loaded, a Gram matrix, and
  /// what comes to its parent and goes out of it in one run of windows.
  public private(set) var search = 0
  /// The block's weights in f32 with AWQ's folds, once to read and once loaded.
  public private(set) var folded = 0
  /// Hessians of one pass besides the largest.
  public private(set) var otherHessians = 0
  /// Inputs of a half's last layer, kept so that the half is not run again.
  public private(set) var keptInputs = 0
  /// The same as the search keeps of one run, of as many more as there is room for.
  public private(set) var searchInputs = 0
  /// Whether hidden states go to a file.
  public private(set) var spills = false
  /// What the sums of one pass may take, and the kept inputs.
  private(set) var hessianRoom = 0
  private(set) var inputRoom = 0
  /// What AWQ's search may keep of its tokens.
  private(set) var searchRoom = 0

  /// What no limit can do without: all but hidden states, which may go to a file, and what only saves passes. A
  /// block is searched first and then quantized.
  public var least: Int { block + ends + activations + max(search, quantizing) }

  /// What it will be.
  public var total: Int {
    block + ends + activations
      + max(search + searchInputs, quantizing + otherHessians + keptInputs)
      + (spills ? 0 : hiddenStates)
  }

  private var quantizing: Int { folded + layer + hessian }

  /// What the program itself and its libraries take.
  private static let base = 48 << 20
  private static let freeSums = 4_000_000_000
  private static let freeInputs = 512 << 20

  /// Nothing where no model is run.
  static let none = MemoryForecast()

  private init() {}

  /// A sum and a chunk of inputs.
  static func sumBytes(_ columns: Int, _ precision: SquareMatrix.Precision) -> Int {
    let size = precision == .double ? 8 : 4
    return (columns.multiplied(by: columns)?.multiplied(by: size) ?? Int.max / 64)
      + columns * 1024 * size
  }

  /// With an ordered copy, a root, a factor, and both in f32 where they were made in f64.
  private static func factorBytes(_ columns: Int, _ sum: SquareMatrix.Precision) -> Int {
    let size = GPTQuantizer().precision(columns: columns, summedIn: sum) == .double ? 24 : 8
    return columns.multiplied(by: columns)?.multiplied(by: size) ?? Int.max / 64
  }

  /// `limit` is what the user allows; nil: no limit.
  init(
    _ source: Checkpoint, _ blueprint: Blueprint, _ modules: QuantizedModules,
    _ quantization: WeightQuantization, _ calibration: Calibration, threads: Int, limit: Int?
  ) {
    let width = blueprint.hiddenSize
    let runs = HiddenStates.runs(of: calibration.windows).map(\.shape.rows)
    let run = runs.max() ?? 0
    let states = calibration.usedTokens.multiplied(by: width) ?? Int.max / 64
    // The unquantized model's beside them, where the difference counts.
    hiddenStates =
      states * quantization.hiddenType.bits / 8 * quantization.streams
    ends =
      Self.base
      + source.denseTensors.filter {
        QuantizedModules.block(of: $0.name) == nil
      }.reduce(0) { $0 + $1.byteCount }
    for (index, plan) in blueprint.blocks.enumerated() {
      let names = Set(plan.tensorNames)
      let stored = source.denseTensors.filter { names.contains($0.name) }.reduce(0) {
        $0 + $1.byteCount
      }
      let weights = modules.modules.filter { $0.block == index }.reduce(0) {
        $0 + $1.rows * $1.columns
      }
      block = max(block, stored + weights * 2)
      guard quantization.method.folds else { continue }
      search = max(search, plan.searchBytes(tokens: run))
      folded = max(folded, weights * 8)
    }
    layer =
      modules.modules.map { $0.rows * $0.columns * 6 + threads * 256 * $0.columns * 12 }.max() ?? 0
    let columns = modules.modules.map(\.columns).max() ?? 0
    if quantization.takesMoments {
      hessian = quantization.sumBytes(columns)
      if quantization.method.feedsBack {
        hessian +=
          Self.factorBytes(columns, quantization.hessianPrecision) * quantization.streams
      }
    }
    let widest = modules.modules.map { max($0.rows, $0.columns) }.max() ?? 0
    activations = run * (widest * 5 + width * 8) * 4
    if quantization.streams == 2 { activations += run * columns * 4 }
    shareOut(
      blueprint, quantization, tokens: calibration.usedTokens, run: run, limit: limit)
  }

  /// What is left of the limit: hidden states come first, then sums of one pass, then kept inputs.
  private mutating func shareOut(
    _ blueprint: Blueprint, _ quantization: WeightQuantization, tokens: Int, run: Int, limit: Int?
  ) {
    var rest = limit.map { $0 - least } ?? Int.max / 2
    spills = rest < hiddenStates
    if !spills { rest -= hiddenStates }
    shareOutSearch(
      blueprint, quantization, tokens: tokens, run: run, limit: limit, rest: rest)
    guard quantization.takesMoments else { return }
    let most = blueprint.blocks.flatMap { $0.sumsOfPasses(quantization) }.max() ?? 0
    let columns = blueprint.blocks.flatMap { $0.inputGroups.map { $0[0].columns } }
    let largest = columns.max().map(quantization.sumBytes) ?? 0
    hessianRoom = largest + max(0, min(rest, Self.freeSums))
    otherHessians = max(0, min(most, hessianRoom) - largest)
    rest = max(0, rest - otherHessians)
    guard !quantization.method.folds, quantization.trueSequential else { return }
    inputRoom = limit == nil ? max(hiddenStates, 256 << 20) : rest
    let last =
      blueprint.blocks.flatMap { block in
        BlockHalf.allCases.compactMap { block.lastLinear(of: $0)?.columns }
      }.max() ?? 0
    keptInputs = min(inputRoom, tokens.multiplied(by: last * 4) ?? Int.max / 64)
  }

  /// The search may have what only quantizing needs, too.
  private mutating func shareOutSearch(
    _ blueprint: Blueprint, _ quantization: WeightQuantization, tokens: Int, run: Int,
    limit: Int?, rest: Int
  ) {
    guard quantization.method.folds else { return }
    let slack = max(0, quantizing - search)
    let more =
      limit == nil ? max(hiddenStates, Self.freeInputs) : max(0, rest).adding(slack) ?? .max
    let width = (blueprint.blocks.map(\.widestParent).max() ?? 0) * 4
    let all = tokens.multiplied(by: width) ?? Int.max / 64
    searchInputs = max(0, min(all - run * width, more))
    searchRoom = run * width + searchInputs
  }

  public var json: JSON {
    [
      "hidden_states": .integer(hiddenStates), "hidden_states_in_file": .bool(spills),
      "block": .integer(block), "layer": .integer(layer), "hessian": .integer(hessian),
      "other_hessians": .integer(otherHessians), "ends": .integer(ends),
      "activations": .integer(activations), "search": .integer(search),
      "folded": .integer(folded), "search_inputs": .integer(searchInputs),
      "kept_inputs": .integer(keptInputs), "least": .integer(least), "total": .integer(total),
    ]
  }
}

extension WeightQuantization {
  /// Whether layers are quantized by the second moments of their inputs.
  var takesMoments: Bool { method.feedsBack || weightsRanges }

  /// Models that the windows go through: with GPTAQ the unquantized one, too.
  var streams: Int { asymmetry == nil ? 1 : 2 }

  /// The sums of a layer's inputs.
  func sumBytes(_ columns: Int) -> Int {
    MemoryForecast.sumBytes(columns, hessianPrecision) * streams
  }
}

extension BlockPlan {
  /// Numbers that a token brings to a parent of the sites and takes out of it, at most.
  fileprivate var widestParent: Int {
    foldSites.compactMap { try? widths(of: $0.parent) }.max() ?? 0
  }

  /// What the search of a site or clip takes at most with the tokens of one run: numbers of weights as they were,
  /// rounded, and loaded; second moments; inputs and outputs.
  fileprivate func searchBytes(tokens: Int) -> Int {
    let weights = Dictionary(
      linears.map { ($0.name, $0.rows * $0.columns) }, uniquingKeysWith: { first, _ in first })
    let sites = foldSites.map { site in
      site.linears.reduce(0) { $0 + (weights[$1] ?? 0) } * 12
    }
    let columns = inputGroups.map { $0[0].columns }.max() ?? 0
    return (sites.max() ?? 0) + columns * columns * 4 + tokens * widestParent * 4
  }

  /// Bytes of the sums that are taken in each pass.
  fileprivate func sumsOfPasses(_ quantization: WeightQuantization) -> [Int] {
    let sums = inputGroups.map { quantization.sumBytes($0[0].columns) }
    guard quantization.trueSequential else { return [sums.reduce(0, +)] }
    guard hasExperts else { return sums }
    let experts = sums.dropFirst(2)
    let first = experts.indices.filter { ($0 - experts.startIndex) % 2 == 0 }
    return Array(sums.prefix(2)) + [
      first.reduce(0) { $0 + sums[$1] },
      experts.reduce(0, +) - first.reduce(0) { $0 + sums[$1] },
    ]
  }
}
