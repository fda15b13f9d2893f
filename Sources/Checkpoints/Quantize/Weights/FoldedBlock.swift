internal import Codecs
internal import Kernels
internal import Models
internal import Quantizers
internal import TensorCore

/// A block after AWQ's search: scales folded into what comes before, ranges clipped, and the dense tensors
/// that this has changed.
struct FoldedBlock {
  /// The block with its folded weights, none of them rounded or clipped.
  let block: DecoderBlock
  let changed: [BlockFiles.Changed]
  private let folded: CalibrationBlock
  private let result: AWQResult
  /// Tokens that came to each linear layer.
  private let tokens: [String: Int]
  private let starvation: [String: String]

  /// Searches with the inputs that the block gets. Throws `cannotRepresent` where a folded number leaves
  /// the range of its tensor's type.
  init(
    _ parent: CalibratedRun, _ block: DecoderBlock, _ modules: [QuantizedModules.Module]
  ) throws {
    let quantization = parent.plan.quantization
    let found = try Self.tokens(parent, block)
    let all = parent.calibration.usedTokens
    tokens = found
    starvation = found.compactMapValues { quantization.starvation($0, of: all) }
    for module in modules where starvation[module.name] != nil {
      try quantization.checkStarved(module.name, found[module.name] ?? 0)
    }
    folded = CalibrationBlock(
      block, inputs: parent.states, room: parent.plan.memory.searchRoom,
      leavingOut: Set(starvation.keys))
    let size = quantization.groupSize
    var awq = Quantizers.AWQ(
      AWQGrid(
        bits: quantization.bits, groupSize: size == -1 ? nil : size,
        isSymmetric: quantization.isSymmetric), rules: quantization.awqRules)
    awq.clip =
      quantization.clips && !modules.allSatisfy(\.settings.actOrder)
      ? ClipSearch(tokens: quantization.clipTokens) : nil
    if let ratio = quantization.awqRatio {
      (awq.fixedRatio, awq.isDuo) = (Float(ratio), false)
    }
    let names = Set(modules.map(\.name))
    awq.dense = Set(folded.foldSites.flatMap(\.linears)).subtracting(names)
    let quantizer = WeightQuantizer(
      quantization: quantization, threads: parent.plan.options.threads)
    for module in modules { awq.overrides[module.name] = quantizer.awq(module) }
    result = try awq.search(folded, threads: parent.plan.options.threads)
    folded.forgetInputs()
    for fold in result.folds { try folded.apply(fold) }
    self.block = folded.decoderBlock
    changed = try Self.changed(folded, result.folds, besides: names, of: parent.plan.source)
  }

  /// Tokens that come to each linear layer; only with experts are they not all.
  private static func tokens(
    _ parent: CalibratedRun, _ block: DecoderBlock
  ) throws -> [String: Int] {
    let names = block.plan.inputGroups.flatMap { $0.map(\.name) }
    var tokens: [String: Int] = [:]
    for name in names {
      tokens[name] = block.plan.hasExperts ? 0 : parent.calibration.usedTokens
    }
    guard block.plan.hasExperts else { return tokens }
    for index in parent.states.runs.indices {
      try parent.states.with(index, parent.run) { hidden, shape in
        _ = try parent.run.run(block, BlockHalf.allCases, hidden, shape) { readers, _, rows, _ in
          for reader in readers where tokens[reader] != nil { tokens[reader, default: 0] += rows }
          return true
        }
      }
    }
    return tokens
  }

  /// The folded weight of a layer, clipped where that was found better, as codes.
  func layer(
    _ module: QuantizedModules.Module, _ quantizer: WeightQuantizer
  ) throws -> MadeLayer {
    guard let tokens = tokens[module.name] else {
      return try quantizer.round(
        module.matrix, module, insteadOf: "the model's block does not read it")
    }
    let weight = try folded.weight(module.name)
    return try quantizer.roundClipped(
      result.clips[module.name].map { $0.applied(to: weight) } ?? weight, module, tokens: tokens,
      insteadOf: starvation[module.name])
  }

  /// The folded weight of a layer as it is, with bounds for ranges alone: error feedback makes up for what lies
  /// beyond them. There are none where groups are no runs.
  func target(_ module: QuantizedModules.Module) throws -> BlockQuantizer.Target {
    BlockQuantizer.Target(
      weight: try folded.weight(module.name),
      bounds: module.settings.actOrder ? nil : result.clips[module.name])
  }

  private static func changed(
    _ block: CalibrationBlock, _ folds: [Fold], besides quantized: Set<String>,
    of source: Checkpoint
  ) throws -> [BlockFiles.Changed] {
    var changed: [BlockFiles.Changed] = []
    var taken: Set<String> = []
    func take(_ name: String, _ values: [Float]?) throws {
      guard let values, let tensor = source.tensors[name], taken.insert(name).inserted else {
        return
      }
      changed.append(try BlockFiles.Changed(tensor, values))
    }
    func takeWeight(_ linear: String) throws {
      guard !quantized.contains(linear) else { return }
      let weight = try block.weight(linear)
      let isTransposed = try Conv1D.holds(linear, in: source)
      try take(linear + ".weight", (isTransposed ? weight.transposed : weight).values)
    }
    for fold in folds {
      switch fold.site.source {
      case .norm(let name, _):
        let norm = try block.norm(name)
        try take(name + ".weight", norm.weight)
        try take(name + ".bias", norm.bias)
      case .linear(let name, _):
        try take(name + ".bias", block.bias(name))
        try takeWeight(name)
      }
      for name in fold.site.linears { try takeWeight(name) }
    }
    return changed
  }
}

extension BlockFiles.Changed {
  /// Other numbers for a tensor, in its type. Throws `cannotRepresent` where one leaves its range.
  fileprivate init(_ tensor: Tensor, _ values: [Float]) throws {
    info = tensor.info
    guard tensor.dtype != .f32 else {
      bytes = values.rawSpan.array
      return
    }
    let workspace = Workspace()
    bytes = try workspace.lend(tensor.byteCount) { stored in
      try FloatConversion.fromFloat32(tensor.dtype, values.rawSpan, into: &stored)
      return stored.bytes.array
    }
    try workspace.lend(values.count * 4) { floats in
      try FloatConversion.toFloat32(tensor.dtype, bytes.rawSpan, into: &floats)
      let found = FloatStatistics(floats.bytes)
      guard found.finiteCount < found.count else { return }
      throw Failure(
        .cannotRepresent, at: tensor.place, "a folded number leaves the range of \(tensor.dtype)",
        remedy: "--method gptq, or a model in bf16 or f32")
    }
  }
}
