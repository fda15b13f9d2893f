internal import Codecs
internal import Kernels
internal import Models
internal import Quantizers
internal import TensorCore

/// Quantizes the linear layers of one block, stage by stage: those of a stage read what earlier ones gave.
struct BlockQuantizer {
  struct Made {
    var layers: [MadeLayer] = []
    var changed: [BlockFiles.Changed] = []
  }

  /// What a layer is to come close to, and how far its ranges may reach.
  struct Target {
    let weight: Matrix
    var bounds: ClipBounds?
  }

  private let parent: CalibratedRun
  private let block: DecoderBlock
  private let modules: [String: QuantizedModules.Module]
  private let quantizer: WeightQuantizer
  private var clock: StageClock { parent.clock }

  init(_ parent: CalibratedRun, _ block: DecoderBlock, _ modules: [QuantizedModules.Module]) {
    (self.parent, self.block) = (parent, block)
    self.modules = Dictionary(uniqueKeysWithValues: modules.map { ($0.name, $0) })
    quantizer = parent.plan.quantizer
  }

  /// Quantizes the layers; with error feedback alone the hidden states are then behind the block.
  func quantize() throws -> Made {
    guard parent.plan.quantization.method.folds else {
      return try feedBack(block, movesOn: true) { try Target(weight: $0.matrix) }
    }
    let folded = try clock.measure(.search) {
      try FoldedBlock(parent, block, Array(modules.values))
    }
    guard parent.plan.quantization.method.feedsBack else {
      let layers = try modules.values.sorted { $0.name < $1.name }.map { module in
        try clock.measure(.codes) { try folded.layer(module, quantizer) }
      }
      return Made(layers: layers, changed: folded.changed)
    }
    // The folded block has numbers that are not rounded to their stored type, so the states don't move on by it.
    var made = try feedBack(folded.block, movesOn: false) { try folded.target($0) }
    made.changed = folded.changed
    return made
  }

  /// Rounds with error feedback what `target` gives for each layer of a block.
  private func feedBack(
    _ block: DecoderBlock, movesOn: Bool, target: (QuantizedModules.Module) throws -> Target
  ) throws -> Made {
    let inputs = parent.inputs(movesOn: movesOn, unquantized: block)
    var made = Made()
    var current = block
    let stages = stages
    let passes = parent.plan.quantization.trueSequential ? stages : [stages.flatMap(\.self)]
    for groups in passes {
      let layers = try quantize(groups, of: current, inputs, target)
      made.layers += layers
      current = try clock.measure(.loading) {
        try current.replacing(
          Dictionary(uniqueKeysWithValues: layers.map { ($0.record.name, $0.source) }))
      }
    }
    if movesOn { try inputs.leave(current) }
    made.layers += try strangers(besides: made.layers)
    made.layers.sort { $0.record.name < $1.record.name }
    return made
  }

  /// Groups of layers that share an input; the second of a module (down after gate and up) come a stage after
  /// the first. All experts are of one stage.
  private var stages: [[[QuantizedModules.Module]]] {
    let groups = block.plan.inputGroups.map { $0.map(\.name) }
    var stages: [[[QuantizedModules.Module]]] = [[], [], [], []]
    var seen: [String: Int] = [:]
    for (index, group) in groups.enumerated() {
      let wanted = group.compactMap { modules[$0] }
      let owner = group[0].split(separator: ".").dropLast().joined(separator: ".")
      let turn = min(seen[owner, default: 0], 1)
      seen[owner, default: 0] += 1
      if !wanted.isEmpty { stages[index < 2 ? index : 2 + turn].append(wanted) }
    }
    return stages.filter { !$0.isEmpty }
  }

  /// Hessians of as many groups at a time as memory takes, and the layers by them.
  private func quantize(
    _ groups: [[QuantizedModules.Module]], of block: DecoderBlock, _ inputs: BlockInputs,
    _ target: (QuantizedModules.Module) throws -> Target
  ) throws -> [MadeLayer] {
    var layers: [MadeLayer] = []
    var rest = groups[...]
    while !rest.isEmpty {
      var part: [[QuantizedModules.Module]] = []
      var bytes = 0
      while let next = rest.first {
        bytes += parent.plan.quantization.sumBytes(next[0].columns)
        if !part.isEmpty && bytes > parent.plan.memory.hessianRoom { break }
        part.append(next)
        rest.removeFirst()
      }
      var sums = try inputs.hessians(
        of: part.map { $0.map(\.name) }, columns: part.map { $0[0].columns }, in: block,
        keeps: groups.count == 1)
      for group in part { layers += try quantize(group, by: sums.removeFirst(), target) }
    }
    return layers
  }

  /// Layers of one input. An expert that saw too little is rounded to nearest.
  private func quantize(
    _ group: [QuantizedModules.Module], by sum: HessianSum,
    _ target: (QuantizedModules.Module) throws -> Target
  ) throws -> [MadeLayer] {
    let all = parent.calibration.usedTokens
    if let reason = parent.plan.quantization.starvation(sum.tokens, of: all) {
      try parent.plan.quantization.checkStarved(group[0].name, sum.tokens)
      if sum.tokens > 0 { try parent.save(sum.finish(), of: group) }
      return try group.map {
        try quantizer.round(target($0).weight, $0, insteadOf: reason, tokens: sum.tokens)
      }
    }
    let hessian = try clock.measure(.hessians) { try sum.finish() }
    try parent.save(hessian, of: group)
    guard parent.plan.quantization.method.feedsBack else {
      return try group.map {
        try quantizer.round(
          target($0).weight, $0, importance: hessian.importance, tokens: sum.tokens)
      }
    }
    var factors: [(settings: GPTQuantizer, factor: FactoredHessian)] = []
    return try group.map { module in
      let settings = quantizer.gptq(module)
      if !factors.contains(where: { $0.settings == settings }) {
        let factor = try clock.measure(.factors) {
          try settings.factor(
            hessian, name: module.name, threads: quantizer.threads, in: parent.matrices)
        }
        factors.append((settings, factor))
      }
      guard let known = factors.first(where: { $0.settings == settings }) else {
        throw Failure(.internal, at: module.name, "a factored Hessian was lost")
      }
      let target = try clock.measure(.loading) { try target(module) }
      return try clock.measure(.codes) {
        try quantizer.feedBack(target.weight, within: target.bounds, module, known.factor)
      }
    }
  }

  /// Modules that the names tell are linear and that the block does not read.
  private func strangers(besides made: [MadeLayer]) throws -> [MadeLayer] {
    let known = Set(made.map(\.record.name))
    return try modules.values.filter { !known.contains($0.name) }.sorted { $0.name < $1.name }.map {
      try quantizer.round(
        $0.matrix, $0, insteadOf: "the model's block does not read it")
    }
  }
}

extension MadeLayer {
  /// The layer as models read it.
  var source: PackedWeight { PackedWeight(layer: layer, denseType: .f32) }
}
