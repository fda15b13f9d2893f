internal import Containers
internal import Kernels
internal import Quantizers
import TensorCore

/// What is known of the inputs of linear layers from a file, so that no model need be run: a safetensors file
/// with, for a module M of n inputs, `M.hessian` [n, n], 2/tokens · Σ x·xᵀ, or `M.inputs` [tokens, n]. All
/// types of floats are read. A one-dimensional `M.tokens` of one 64-bit number says how many tokens a
/// Hessian is of.
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

  /// The Hessian of a module's inputs; nil where nothing is known of them. Throws `cannotRepresent` where they
  /// are not finite, `io`.
  func hessian(of module: QuantizedModules.Module, threads: Int) throws -> Hessian? {
    if let tensor = tensors[module.name + ".hessian"] {
      let matrix = try Matrix(reading: tensor)
      return try Hessian(
        matrix.values, columns: matrix.columns, tokens: tokens(of: module), name: module.name)
    }
    guard let tensor = tensors[module.name + ".inputs"] else { return nil }
    let sum = HessianSum(columns: module.columns, name: module.name, threads: threads)
    sum.add(try Matrix(reading: tensor).values)
    return try sum.finish()
  }

  private func tokens(of module: QuantizedModules.Module) throws -> Int {
    guard let tensor = tensors[module.name + ".tokens"], tensor.dtype == .i64,
      tensor.shape.count == 1
    else { return 0 }
    let block = try tensor.contents()
    let low = UInt64(block.bytes.uint32(at: 0))
    let high = UInt64(block.bytes.uint32(at: 1))
    return Int(truncatingIfNeeded: high << 32 | low)
  }

  private func misshapen(_ tensor: Tensor, _ expected: String) -> Failure {
    Failure(
      .malformed, at: tensor.place, "statistics of another layer", expected: expected,
      found: "\(tensor.shape)")
  }
}

/// Rounds with error feedback by statistics from a file, block by block.
struct StatisticsRun {
  let plan: WeightPlan
  let statistics: LayerStatistics

  func make(_ block: [QuantizedModules.Module]) throws -> [MadeLayer] {
    let quantizer = plan.quantizer
    return try block.map { module in
      let weight = try Matrix(reading: module.weight)
      guard let hessian = try statistics.hessian(of: module, threads: quantizer.threads) else {
        return try quantizer.round(weight, module, insteadOf: "the file has no statistics of it")
      }
      let factored = try quantizer.gptq(module).factor(
        hessian, name: module.name, threads: quantizer.threads)
      return try quantizer.feedBack(weight, module, factored)
    }
  }
}
