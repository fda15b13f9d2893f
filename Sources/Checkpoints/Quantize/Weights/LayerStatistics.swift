internal import Containers
internal import Kernels
internal import Quantizers
import TensorCore

/// What is known of the inputs of linear layers from a file, so that no model need be run: a safetensors file with,
/// for a module M of n inputs, `M.hessian` [n, n], 2/tokens · Σ x·xᵀ, or `M.inputs` [tokens, n]. All types of floats
/// are read, of Hessians F64 too. A one-dimensional `M.tokens` of one 64-bit number says how many tokens a Hessian is
/// of. `--save-statistics` writes such a file, with each Hessian as GPTQ used it: so it has the errors of the layers
/// before in it, and the same settings give the same codes.
///
/// An importance matrix of llama.cpp has only the diagonal of these, for weighted ranges.
public struct LayerStatistics: Sendable {
  private enum Content {
    case moments(ShardedTensors)
    case importance(ImportanceMatrix, [String: ImportanceMatrix.Place])
  }

  public let path: String
  private var content: Content
  /// What the file knows of that is none of the layers: names of an importance matrix's entries.
  public private(set) var unusedEntries: [String] = []

  /// Reads the header, and all of an importance matrix. Throws `io`, `malformed`, `unsupported`.
  public init(path: String) throws {
    self.path = path
    content =
      if let matrix = try ImportanceMatrix(path: path) { .importance(matrix, [:]) } else {
        .moments(try ShardedTensors(opening: path))
      }
  }

  /// Whether it has no more than how much each input counts.
  public var isImportanceOnly: Bool { if case .importance = content { true } else { false } }

  /// What the file is, and what is expected of it for a layer.
  var expected: String {
    isImportanceOnly ? "entries such as blk.0.attn_q.weight" : "LAYER.hessian or LAYER.inputs"
  }

  private var tensors: ShardedTensors? {
    if case .moments(let tensors) = content { tensors } else { nil }
  }

  /// Finds the entries of an importance matrix for the layers that are to be quantized.
  mutating func match(_ modules: [QuantizedModules.Module]) {
    guard case .importance(let matrix, _) = content else { return }
    let places = matrix.places(of: modules.map(\.name))
    content = .importance(matrix, places)
    let used = Set(places.values.map(\.entry))
    unusedEntries = matrix.entries.indices.filter { !used.contains($0) }.map {
      matrix.entries[$0].name
    }
  }

  /// Modules that something is known of.
  var modules: Set<String> {
    guard let tensors else {
      if case .importance(_, let places) = content { return Set(places.keys) }
      return []
    }
    return Set(
      tensors.tensors.compactMap { tensor in
        ["hessian", "inputs"].lazy.compactMap { part in
          tensor.name.hasSuffix("." + part) ? String(tensor.name.dropLast(part.count + 1)) : nil
        }.first
      })
  }

  /// The files, and how large each is.
  var files: [(path: String, bytes: Int)] {
    switch content {
    case .moments(let tensors): tensors.files.map { ($0.source.path, $0.size) }
    case .importance(let matrix, _): [(matrix.path, matrix.byteCount)]
    }
  }

  /// Throws `malformed` where a tensor is not of the module's inputs. Reads no data.
  func check(_ module: QuantizedModules.Module) throws {
    guard let tensors else {
      guard case .importance(let matrix, let places) = content, let place = places[module.name]
      else { return }
      return try matrix.check(place, columns: module.columns, module: module.name)
    }
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
    guard let tensors else { return nil }
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

  /// How much each input of a module counts; nil where nothing is known of them. Throws as `hessian` does.
  func importance(of module: QuantizedModules.Module, threads: Int) throws -> [Float]? {
    guard case .importance(let matrix, let places) = content else {
      return try hessian(of: module, in: .single, threads: threads)?.importance
    }
    return try places[module.name].flatMap {
      try matrix.importance(at: $0, columns: module.columns)
    }
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
    guard let tensors else {
      guard case .importance(let matrix, let places) = content else { return nil }
      return places[module.name].flatMap { matrix.tokens(at: $0) }
    }
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

/// Rounds by statistics from a file, block by block: with error feedback, or to nearest by weighted ranges.
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
      guard plan.quantization.method.feedsBack else {
        let importance = try statistics.importance(of: module, threads: quantizer.threads)
        return try quantizer.round(
          weight, module, importance: importance,
          insteadOf: importance == nil ? "the file has no statistics of it" : nil, tokens: tokens)
      }
      let precision = plan.quantization.hessianPrecision
      guard
        let hessian = try statistics.hessian(
          of: module, in: precision, threads: quantizer.threads)
      else {
        return try quantizer.round(weight, module, insteadOf: "the file has no statistics of it")
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
