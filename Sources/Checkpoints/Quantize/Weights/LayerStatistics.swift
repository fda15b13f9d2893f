internal import Containers
internal import Kernels
internal import Quantizers
import TensorCore

/// What is known of the inputs of linear layers from a file, so that no model need be run: a safetensors file
/// with, for a module M of n inputs, `M.hessian` [n, n], 2/tokens · Σ x·xᵀ, or `M.inputs` [tokens, n]. All
/// types of floats are read, of Hessians F64 too. A one-dimensional `M.tokens` of one 64-bit number says how many tokens a
/// Hessian is of. `--save-statistics` writes such a file, with each Hessian as GPTQ used it: so it has the errors of
/// the layers before in it, and the same settings give the same codes.
public struct LayerStatistics: Sendable {
  public let path: String
  private let tensors: ShardedTensors

  /// Reads the header. Throws `io`, `malformed`.
  public init(path: String) throws {
    self.path = path
    tensors = try ShardedTensors(opening: path)
  }

  /// Modules that something is known of.
  var modules: Set<String> {
    Set(
      tensors.tensors.compactMap { tensor in
        ["hessian", "inputs"].lazy.compactMap { part in
          tensor.name.hasSuffix("." + part) ? String(tensor.name.dropLast(part.count + 1)) : nil
        }.first
      })
  }

  var files: [ShardedTensors.File] { tensors.files }

  /// Throws `malformed` where a tensor is not of the module's inputs. Reads no data.
  func check(_ module: QuantizedModules.Module) throws {
    if let hessian = tensors[module.name + ".hessian"] {
      guard hessian.shape.dimensions == [module.columns, module.columns] else {
        throw misshapen(hessian, "[\(module.columns), \(module.columns)]")
      }
    } else if let inputs = tensors[module.name + ".inputs"] {
      guard inputs.shape.rank == 2, inputs.shape[1] == module.columns, inputs.shape[0] > 0 else {
        throw misshapen(inputs, "[tokens, \(module.columns)]")
      }
    }
  }

  /// The Hessian of a module's inputs; nil where nothing is known of them. Throws `malformed` where it is not
  /// finite or not symmetric, `cannotRepresent` where inputs are not finite, `io`.
  func hessian(
    of module: QuantizedModules.Module, in precision: SquareMatrix.Precision, threads: Int
  ) throws -> Hessian? {
    if let tensor = tensors[module.name + ".hessian"] {
      let matrix = try SquareMatrix.reading(tensor)
      try Self.checkSymmetric(matrix, at: tensor.place)
      return try Hessian(
        matrix.converted(to: precision, threads: threads), tokens: tokens(of: module) ?? 0,
        name: module.name)
    }
    guard let tensor = tensors[module.name + ".inputs"] else { return nil }
    let sum = HessianSum(
      columns: module.columns, precision: precision, name: module.name, threads: threads)
    sum.add(try Matrix(reading: tensor).values)
    return try sum.finish()
  }

  /// Throws `malformed`: second moments are finite and as large above the diagonal as below it, but for roundings of
  /// the type they were kept in.
  private static func checkSymmetric(_ matrix: SquareMatrix, at place: String) throws {
    let diagonal = (0..<matrix.count).map { matrix[$0, $0] }
    for row in 0..<matrix.count {
      for column in 0...row {
        let (low, high) = (matrix[row, column], matrix[column, row])
        guard low.isFinite, high.isFinite else {
          throw Failure(
            .malformed, at: place, "second moments that are not finite",
            found: "\(low.isFinite ? high : low) at [\(row), \(column)]", rule: "LS-2")
        }
        let size = (diagonal[row] * diagonal[column]).magnitude
        guard (low - high).magnitude <= 1e-2 * max(low.magnitude, size.squareRoot()) else {
          throw Failure(
            .malformed, at: place, "second moments that are not symmetric",
            expected: "\(high) at [\(row), \(column)], as across the diagonal", found: "\(low)",
            rule: "LS-2")
        }
      }
    }
  }

  /// Tokens that a module's statistics are of; nil where the file does not say.
  func tokens(of module: QuantizedModules.Module) throws -> Int? {
    if let inputs = tensors[module.name + ".inputs"], tensors[module.name + ".hessian"] == nil {
      return inputs.shape[0]
    }
    guard let tensor = tensors[module.name + ".tokens"], tensor.dtype == .i64,
      tensor.shape.count == 1
    else { return nil }
    let block = try tensor.contents()
    let low = UInt64(block.bytes.uint32(at: 0))
    let high = UInt64(block.bytes.uint32(at: 1))
    return Int(truncatingIfNeeded: high << 32 | low)
  }

  private func misshapen(_ tensor: Tensor, _ expected: String) -> Failure {
    Failure(
      .malformed, at: tensor.place, "statistics of another layer", expected: expected,
      found: "\(tensor.shape)", rule: "LS-1")
  }
}

/// Rounds with error feedback by statistics from a file, block by block.
struct StatisticsRun {
  let plan: WeightPlan
  let statistics: LayerStatistics

  func make(_ block: [QuantizedModules.Module]) throws -> [MadeLayer] {
    let quantizer = plan.quantizer
    let all = try plan.modules.modules.compactMap { try statistics.tokens(of: $0) }.max() ?? 0
    return try block.map { module in
      let weight = try module.matrix
      let tokens = try statistics.tokens(of: module)
      if let tokens, let reason = plan.quantization.starvation(tokens, of: all) {
        try plan.quantization.checkStarved(module.name, tokens)
        return try quantizer.round(weight, module, insteadOf: reason, tokens: tokens)
      }
      let precision = plan.quantization.hessianPrecision
      guard
        let hessian = try statistics.hessian(
          of: module, in: precision, threads: quantizer.threads)
      else {
        return try quantizer.round(weight, module, insteadOf: "the file has no statistics of it")
      }
      guard plan.quantization.method.feedsBack else {
        return try quantizer.round(
          weight, module, importance: hessian.importance, tokens: tokens)
      }
      let factored = try quantizer.gptq(module).factor(
        hessian, name: module.name, threads: quantizer.threads)
      return try quantizer.feedBack(weight, module, factored)
    }
  }
}

extension WeightQuantization {
  /// Why a layer that so many of all tokens reached is rounded to nearest; nil where it isn't.
  func starvation(_ tokens: Int, of all: Int) -> String? {
    tokens < min(minExpertTokens, all) ? "only \(tokens) of \(all) tokens reached it" : nil
  }

  /// Throws `cannotRepresent` with `strict`: such a layer ends the run.
  func checkStarved(_ module: String, _ tokens: Int) throws {
    guard strict else { return }
    throw Failure(
      .cannotRepresent, at: module, "too few tokens reached the layer",
      expected: "at least \(minExpertTokens)", found: "\(tokens)",
      remedy: "more calibration text, or no --strict")
  }
}
