internal import Codecs
internal import Kernels
internal import Models
internal import Quantizers
internal import TensorCore

/// Quantizes a model block by block on what calibration windows bring to each: statistics are taken with all
/// blocks before as they have become, and the block's own outputs go on to the next one.
final class CalibratedRun {
  let plan: WeightPlan
  let calibration: Calibration
  let files: BlockFiles
  let observer: WeightPlan.Observer
  let model: CausalModel
  let run: WindowRun
  let states: HiddenStates
  /// What the unquantized model has there, where the difference counts.
  private let originals: HiddenStates?
  let clock: StageClock
  let kept: KeptInputs
  let matrices = MatrixStore()
  private let statistics: StatisticsWriter?
  private var done = 0

  /// Loads what stands before and after the blocks.
  init(
    _ plan: WeightPlan, _ calibration: Calibration, _ files: BlockFiles,
    _ observer: WeightPlan.Observer, _ clock: StageClock
  ) throws {
    (self.plan, self.calibration, self.files, self.observer) = (plan, calibration, files, observer)
    self.clock = clock
    model = try clock.measure(.loading) {
      try plan.source.model(on: CPUCompute(threads: plan.options.threads), keepsBlocks: false)
    }
    run = WindowRun(model)
    kept = KeptInputs(model.compute, room: plan.memory.inputRoom)
    states = try HiddenStates(
      calibration.windows, width: model.hiddenSize, dtype: plan.quantization.hiddenType,
      spill: plan.spills ? files.path + "/hidden-states" : nil)
    originals =
      plan.quantization.asymmetry == nil
      ? nil
      : try HiddenStates(
        calibration.windows, width: model.hiddenSize, dtype: plan.quantization.hiddenType,
        spill: plan.spills ? files.path + "/original-states" : nil)
    statistics = try plan.savedStatistics.map {
      try StatisticsWriter($0, plan.modules.modules, plan.quantization.hessianType)
    }
  }

  func quantize() throws {
    for (index, batch) in states.runs.enumerated() {
      let ids = calibration.windows[batch.windows].flatMap(\.self)
      try run.embed(ids, batch.shape) { hidden in
        try states.store(hidden, of: run.compute, at: index)
        try originals?.store(hidden, of: run.compute, at: index)
      }
    }
    let blocks = plan.modules.blocks
    for number in 0..<model.blockCount {
      let place = blocks.firstIndex { $0[0].block == number }
      try pass(number, place.map { (blocks[$0], $0) })
      if let originals {
        let block = try clock.measure(.loading) { try model.block(number) }
        try BlockInputs(self, originals, movesOn: true).leave(block)
      }
    }
    if let head = blocks.last, head[0].block == nil {
      try quantizeHead(head, blocks.count - 1)
    }
    try statistics?.finish()
  }

  /// Quantizes a block where there are layers to, and moves the hidden states behind it.
  private func pass(_ number: Int, _ job: (modules: [QuantizedModules.Module], place: Int)?) throws
  {
    guard let (modules, place) = job else {
      return try BlockInputs(self, states, movesOn: true).leave(
        clock.measure(.loading) { try model.block(number) })
    }
    let isMade = files.holds(place)
    if !isMade {
      let block = try clock.measure(.loading) { try model.block(number) }
      let made = try BlockQuantizer(self, block, modules).quantize()
      try clock.measure(.writing) {
        try files.write(
          place, layers: made.layers.map(\.layer), changed: made.changed,
          records: made.layers.map(\.record))
      }
    }
    try tell(modules, place)
    guard isMade || plan.quantization.method.folds else { return }
    let block = try clock.measure(.loading) {
      try model.block(number, from: CheckpointWeights(plan.checkpoint(files, blocks: [place])))
    }
    try BlockInputs(self, states, movesOn: true).leave(block)
  }

  private func tell(_ modules: [QuantizedModules.Module], _ place: Int) throws {
    for record in try BlockFiles.records(of: files.file(place)) { observer.layer(record) }
    done += modules.count
    observer.progress(.quantizing, done, plan.layerCount)
  }

  /// The hidden states on their way through the block that they stand before; `unquantized` is that block with
  /// the weights that layers are to come close to.
  func inputs(movesOn: Bool, unquantized: DecoderBlock) -> BlockInputs {
    BlockInputs(
      self, states, movesOn: movesOn,
      original: originals.map { .init(states: $0, block: unquantized) })
  }

  /// Keeps the second moments of what some layers read, where that was asked for.
  func save(_ hessian: Hessian, of modules: [QuantizedModules.Module]) throws {
    guard let statistics else { return }
    try clock.measure(.writing) {
      for module in modules { try statistics.write(hessian, of: module.name) }
    }
  }

  /// Lends what the head reads of a run of windows.
  private func headInput<Result>(
    _ states: HiddenStates, _ index: Int, _ body: (_ input: Buffer, _ count: Int) throws -> Result
  ) throws -> Result {
    try states.with(index, run) { hidden, shape in
      try run.headInput(hidden, shape) { try body($0, shape.rows * $1) }
    }
  }

  private func quantizeHead(_ modules: [QuantizedModules.Module], _ place: Int) throws {
    if !files.holds(place) {
      let made = try modules.map { module in
        let sum = HessianSum(
          columns: module.columns, precision: plan.quantization.hessianPrecision,
          hasDrift: originals != nil, name: module.name, threads: plan.options.threads)
        for index in states.runs.indices {
          let original = try originals.map { try headInput($0, index, run.compute.floats) }
          try headInput(states, index) { input, count in
            try run.compute.withFloats(input, count: count) {
              sum.add($0, original: original?.rawSpan)
            }
          }
        }
        let hessian = try sum.finish()
        try save(hessian, of: [module])
        return try plan.quantizer.make(module.matrix, module, hessian)
      }
      try files.write(place, layers: made.map(\.layer), changed: [], records: made.map(\.record))
    }
    try tell(modules, place)
  }
}

extension WeightQuantizer {
  /// Rounds with error feedback where the method has it, else to nearest.
  func make(
    _ weight: Matrix, _ module: QuantizedModules.Module, _ hessian: Hessian
  ) throws -> MadeLayer {
    guard quantization.method.feedsBack else {
      return try round(
        weight, module, importance: hessian.importance, tokens: hessian.tokens)
    }
    let factored = try gptq(module).factor(hessian, name: module.name, threads: threads)
    return try feedBack(weight, module, factored)
  }
}
