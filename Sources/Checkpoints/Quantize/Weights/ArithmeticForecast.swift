internal import Codecs
public import Kernels
internal import Models
internal import Quantizers
public import TensorCore

/// How much a calibrated run computes, in multiplications and additions, known from shapes alone.
public struct ArithmeticForecast: Sendable, Equatable {
  /// Windows through linear layers, and through attention.
  public private(set) var products = 0.0
  public private(set) var attention = 0.0
  /// Second moments of inputs, and what they are summed in.
  public private(set) var hessians = 0.0
  public private(set) var hessianPrecision = SquareMatrix.Precision.single
  /// Factored Hessians, by the precision they are factored in.
  public private(set) var factors: [SquareMatrix.Precision: Double] = [:]
  /// Weights made up for what others lost, and the error of outputs.
  public private(set) var codes = 0.0
  /// AWQ's candidates and clips.
  public private(set) var search = 0.0
  /// Weights whose ranges are searched by the errors they give, which is no product of matrices.
  public private(set) var ranges = 0.0

  /// Nothing where no model is run.
  static let none = ArithmeticForecast()

  private init() {}

  /// `room`: bytes of kept inputs; nil: every window goes once through every layer. `searchRoom` is what AWQ's
  /// search may keep.
  init(
    _ blueprint: Blueprint, _ modules: QuantizedModules, _ quantization: WeightQuantization,
    _ calibration: Calibration, room: Int?, searchRoom: Int
  ) {
    hessianPrecision = quantization.hessianPrecision
    let tokens = Double(calibration.usedTokens)
    let seen = calibration.windows.reduce(0.0) { $0 + Double($1.count) * Double($1.count + 1) / 2 }
    for (index, block) in blueprint.blocks.enumerated() {
      let own = modules.modules.filter { $0.block == index }
      let times =
        room.map {
          PassCount(
            block, quantization, isQuantized: !own.isEmpty, tokens: tokens, room: Double($0))
        } ?? PassCount()
      let cost = block.cost
      for half in BlockHalf.allCases {
        products += tokens * (cost.inner[half] ?? 0) * times.inner[half, default: 0]
        products += tokens * (cost.last[half] ?? 0) * times.last[half, default: 0]
      }
      attention += seen * cost.position * times.inner[.attention, default: 0]
      add(
        own, of: block, quantization, tokens, attention: seen * cost.position,
        searchRoom: searchRoom)
    }
    for module in modules.modules where module.block == nil && quantization.takesMoments {
      add(hessianOf: module.columns, rows: [module.rows], tokens, quantization)
    }
    if quantization.norm > 0, !quantization.method.folds || quantization.method.feedsBack {
      ranges = modules.modules.reduce(0.0) { $0 + Double($1.rows) * Double($1.columns) }
    }
    guard quantization.streams == 2 else { return }
    // The unquantized model beside, and whole products of inputs and their changes.
    (products, attention, hessians) = (products * 2, attention * 2, hessians * 3)
  }

  private mutating func add(
    _ modules: [QuantizedModules.Module], of block: BlockPlan,
    _ quantization: WeightQuantization, _ tokens: Double, attention: Double, searchRoom: Int
  ) {
    let names = Set(modules.map(\.name))
    let groups = block.inputGroups.map { $0.filter { names.contains($0.name) } }
    for group in groups where !group.isEmpty && quantization.takesMoments {
      let share = block.share(of: group[0])
      add(hessianOf: group[0].columns, rows: group.map(\.rows), tokens * share, quantization)
    }
    guard quantization.method.folds, !names.isEmpty else { return }
    let search = SearchCost(block, quantization, tokens, attention: attention, room: searchRoom)
    self.search += search.scales
    if !modules.allSatisfy(\.settings.actOrder) { self.search += search.clips(groups) }
  }

  private mutating func add(
    hessianOf columns: Int, rows: [Int], _ tokens: Double, _ quantization: WeightQuantization
  ) {
    let count = Double(columns)
    hessians += tokens * count * count
    guard quantization.method.feedsBack else { return }
    let precision = GPTQuantizer().precision(columns: columns, summedIn: hessianPrecision)
    factors[precision, default: 0] += count * count * count * 2 / 3
    codes += rows.reduce(0.0) { $0 + 2 * Double($1) * count * count }
  }

  /// All but searched ranges.
  public var total: Double {
    products + attention + hessians + factors.values.reduce(0, +) + codes + search
  }

  public var json: JSON {
    [
      "products": .real(products), "attention": .real(attention), "hessians": .real(hessians),
      "factors": .real(factors.values.reduce(0, +)), "codes": .real(codes), "search": .real(search),
      "searched_weights": .real(ranges),
    ]
  }
}

/// How often the windows go through the parts of a block.
private struct PassCount {
  /// The linear layers before the last of each half.
  var inner: [BlockHalf: Double] = [.attention: 1, .feedForward: 1]
  var last: [BlockHalf: Double] = [.attention: 1, .feedForward: 1]

  init() {}

  init(
    _ block: BlockPlan, _ quantization: WeightQuantization, isQuantized: Bool, tokens: Double,
    room: Double
  ) {
    guard isQuantized, quantization.takesMoments else { return }
    let experts = block.hasExperts ? 1.0 : 0
    guard quantization.trueSequential else {
      inner = [.attention: 2, .feedForward: 2]
      last = [.attention: 2, .feedForward: 1 + experts]
      return
    }
    guard !quantization.method.folds else {
      inner = [.attention: 4, .feedForward: 2 + experts]
      last = [.attention: 3, .feedForward: 1 + 2 * experts]
      return
    }
    for half in BlockHalf.allCases {
      guard let end = block.lastLinear(of: half) else {
        (inner[half], last[half]) = (3, 0)
        continue
      }
      let kept = min(1, room / max(1, tokens * Double(end.columns) * 4))
      inner[half] = 2 - kept
    }
  }
}
