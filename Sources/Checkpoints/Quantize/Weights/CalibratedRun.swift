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
  /// What the unquantized model has there.
  let originals: HiddenStates?
  private var done = 0

  /// Loads what stands before and after the blocks.
  init(
    _ plan: WeightPlan, _ calibration: Calibration, _ files: BlockFiles,
    _ observer: WeightPlan.Observer
  ) throws {
    (self.plan, self.calibration, self.files, self.observer) = (plan, calibration, files, observer)
    model = try plan.source.model(
      on: CPUCompute(threads: plan.options.threads), keepsBlocks: false)
    run = WindowRun(model)
    states = try HiddenStates(
      calibration.windows, width: model.hiddenSize,
      spill: plan.spills ? files.path + "/hidden-states" : nil)
    originals =
      plan.quantization.asymmetry == nil
      ? nil : try HiddenStates(calibration.windows, width: model.hiddenSize, spill: nil)
  }

  func quantize() throws {
    for (index, batch) in states.runs.enumerated() {
      let ids = calibration.windows[batch.windows].flatMap(\.self)
      try states.set(run.embed(ids, sequences: batch.sequences), at: index)
      try originals?.set(run.embed(ids, sequences: batch.sequences), at: index)
    }
    let blocks = plan.modules.blocks
    for number in 0..<model.blockCount {
      let place = blocks.firstIndex { $0[0].block == number }
      var block = try model.block(number)
      if let place {
        try quantize(block, blocks[place], place)
        block = try model.block(
          number, from: CheckpointWeights(plan.checkpoint(files, blocks: [place])))
      }
      try moveOn(through: block)
      if let originals {
        let block = try model.block(number)
        for (index, batch) in originals.runs.enumerated() {
          try originals.set(
            run.run(block, originals[index], sequences: batch.sequences) ?? [], at: index)
        }
      }
    }
    if let head = blocks.last, head[0].block == nil {
      try quantizeHead(head, blocks.count - 1)
    }
  }

  /// Makes the file of a block where it is not there.
  private func quantize(
    _ block: DecoderBlock, _ modules: [QuantizedModules.Module], _ place: Int
  ) throws {
    if !files.holds(place) {
      let made = try BlockQuantizer(self, block, modules).quantize()
      try files.write(
        place, layers: made.layers.map(\.layer), changed: made.changed,
        records: made.layers.map(\.record))
    }
    for record in try BlockFiles.records(of: files.file(place)) { observer.layer(record) }
    done += modules.count
    observer.progress(.quantizing, done, plan.layerCount)
  }

  private func moveOn(through block: DecoderBlock) throws {
    for (index, batch) in states.runs.enumerated() {
      let output = try run.run(block, states[index], sequences: batch.sequences)
      try states.set(output ?? [], at: index)
    }
  }

  private func quantizeHead(_ modules: [QuantizedModules.Module], _ place: Int) throws {
    if !files.holds(place) {
      let made = try modules.map { module in
        let sum = HessianSum(
          columns: module.columns, name: module.name, threads: plan.options.threads)
        for index in states.runs.indices { sum.add(try run.headInput(states[index])) }
        return try plan.quantizer.make(Matrix(reading: module.weight), module, sum.finish())
      }
      try files.write(place, layers: made.map(\.layer), changed: [], records: made.map(\.record))
    }
    for record in try BlockFiles.records(of: files.file(place)) { observer.layer(record) }
    done += modules.count
    observer.progress(.quantizing, done, plan.layerCount)
  }
}

extension WeightQuantizer {
  /// Rounds with error feedback where the method has it, else to nearest.
  func make(
    _ weight: Matrix, _ module: QuantizedModules.Module, _ hessian: Hessian
  ) throws -> MadeLayer {
    guard quantization.method.feedsBack else {
      return try round(weight, module, importance: hessian.importance)
    }
    let factored = try gptq(module).factor(hessian, name: module.name, threads: threads)
    return try feedBack(weight, module, factored)
  }
}
