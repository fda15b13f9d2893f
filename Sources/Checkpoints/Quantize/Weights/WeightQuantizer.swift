internal import Codecs
internal import Kernels
internal import Quantizers
internal import TensorCore

/// A layer as it was quantized, and the record of how.
struct MadeLayer: Sendable {
  let layer: MatrixLayer
  let matrix: QuantizedMatrix
  let record: LayerRecord
}

/// Turns a weight into codes by the settings of its module.
struct WeightQuantizer: Sendable {
  let quantization: WeightQuantization
  let threads: Int

  /// The grid of a module. `importance`: whether ranges are searched by what inputs count.
  func grid(_ module: QuantizedModules.Module, weighted: Bool = false) -> UniformGrid {
    let settings = module.settings
    return UniformGrid(
      quantization.isTernary && settings.bits == 2 ? .ternary : .bits(settings.bits),
      groupSize: settings.groupSize == -1 ? nil : settings.groupSize,
      isSymmetric: settings.symmetric,
      search: quantization.norm == 0
        ? nil : RangeSearch(norm: Float(quantization.norm), isWeighted: weighted),
      scaleType: quantization.scaleType)
  }

  /// GPTQ's settings for a module.
  func gptq(_ module: QuantizedModules.Module) -> GPTQuantizer {
    var gptq = GPTQuantizer(grid(module, weighted: quantization.weightsRanges))
    gptq.order =
      quantization.isOrdered(module.name)
      ? .descending : quantization.isGroupAware(module.name) ? .groupAware : .stored
    gptq.hasStaticGroups = quantization.staticGroups
    gptq.compensatesRanges = quantization.compensatesRanges
    gptq.dampPercent = quantization.dampPercent
    gptq.dampAutoIncrement = quantization.dampIncrement
    gptq.asymmetry = quantization.asymmetry.map { Float($0) }
    gptq.isStrict = quantization.strict
    return gptq
  }

  /// Rounds to nearest; `reason` says why, where more was asked for, and `tokens` how many reached the layer.
  /// `importance` is how much each input counts, which only weighted ranges need.
  func round(
    _ weight: Matrix, _ module: QuantizedModules.Module, importance: [Float]? = nil,
    insteadOf reason: String? = nil, tokens: Int? = nil
  ) throws -> MadeLayer {
    let isWeighted = quantization.weightsRanges && importance != nil
    let made = try RTN(grid(module, weighted: isWeighted)).quantize(
      weight, importance: importance, name: module.name, threads: threads)
    var report = made.report
    (report.fallback, report.tokens) = (reason, tokens)
    return try finish(made.matrix, report, "rtn", module)
  }

  /// Rounds with error feedback by a Hessian that these settings factored.
  func feedBack(
    _ weight: Matrix, within bounds: ClipBounds? = nil, _ module: QuantizedModules.Module,
    _ hessian: FactoredHessian
  ) throws -> MadeLayer {
    let made = try gptq(module).quantize(
      weight, hessian, within: bounds, name: module.name, threads: threads)
    return try finish(
      made.matrix, made.report, made.report.fallback == nil ? "gptq" : "rtn", module)
  }

  /// Rounds what AWQ has folded and clipped, with scales as they are stored. `reason` says why it was not clipped
  /// where it should have been, and `tokens` how many reached the layer.
  func roundClipped(
    _ weight: Matrix, _ module: QuantizedModules.Module, tokens: Int, insteadOf reason: String?
  ) throws -> MadeLayer {
    let clock = ContinuousClock.now
    let matrix = try awq(module).quantize(weight, name: module.name, threads: threads)
    var report = QuantizationReport(
      weightError: try MatrixLayer(matrix, name: module.name).relativeError(of: weight))
    report.seconds = (ContinuousClock.now - clock) / .seconds(1)
    (report.fallback, report.tokens) = (reason, tokens)
    return try finish(matrix, report, reason == nil ? "awq" : "rtn", module)
  }

  /// AWQ's grid for a module.
  func awq(_ module: QuantizedModules.Module) -> AWQGrid {
    let settings = module.settings
    return AWQGrid(
      bits: settings.bits, groupSize: settings.groupSize == -1 ? nil : settings.groupSize,
      isSymmetric: settings.symmetric)
  }

  /// The layer as every layout that was asked for holds it.
  func finish(
    _ matrix: QuantizedMatrix, _ report: QuantizationReport, _ method: String,
    _ module: QuantizedModules.Module
  ) throws -> MadeLayer {
    var (matrix, note): (QuantizedMatrix, String?) = (matrix, nil)
    if quantization.lowestZero > 0, !module.settings.symmetric {
      let safe = matrix.withoutZeroPointsOfZero()
      if safe.groups > 0 {
        note =
          "\(safe.groups) zero points of 0 became 1 for gptq, \(safe.clipped) codes clipped by one"
      }
      matrix = safe.matrix
    }
    let record = LayerRecord(module, method: method, report: report, note: note)
    return MadeLayer(
      layer: MatrixLayer(matrix, name: module.name), matrix: matrix, record: record)
  }
}

extension MatrixLayer {
  /// ‖W − Q‖ / ‖W‖.
  fileprivate func relativeError(of weight: Matrix) throws -> Double {
    let workspace = Workspace()
    let region = Region(rows: 0..<form.rows, columns: 0..<form.columns)
    return try workspace.lend(region.count * 4) { bytes in
      try readWeights(region, into: &bytes, workspace)
      var (lost, had) = (0.0, 0.0)
      for index in weight.values.indices {
        let value = Double(weight.values[index])
        let difference = value - Double(bytes.bytes.float32(at: index))
        lost += difference * difference
        had += value * value
      }
      return had > 0 ? (lost / had).squareRoot() : 0
    }
  }
}
