import Kernels
import TensorCore

@testable import Quantizers

/// down(silu(gate·x) · up·x) with inputs of some tokens, as quantizers see it; in plain f64.
struct MLPBlock: Block {
  var weights: [String: Matrix]
  /// f32 `[tokens][hidden]`, handed on in two runs.
  let inputs: [Float]
  let hidden: Int
  /// Whether both runs have room at once.
  var isOnePart = true

  init(gate: Matrix, up: Matrix, down: Matrix, inputs: [Float]) {
    weights = ["mlp.gate_proj": gate, "mlp.up_proj": up, "mlp.down_proj": down]
    (self.inputs, hidden) = (inputs, gate.columns)
  }

  var inputGroups: [[String]] { [["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"]] }

  var foldSites: [FoldSite] {
    let feed = weights["mlp.down_proj"]!.columns
    return [
      FoldSite(
        source: .norm("norm", isOffset: false), linears: ["mlp.gate_proj", "mlp.up_proj"],
        parent: "mlp"),
      FoldSite(
        source: .linear("mlp.up_proj", rows: 0..<feed), linears: ["mlp.down_proj"],
        parent: "mlp.down_proj"),
    ]
  }

  func weight(_ linear: String) throws -> Matrix { weights[linear]! }

  private var runs: [ArraySlice<Float>] {
    let middle = inputs.count / hidden / 3 * hidden
    return [inputs[..<middle], inputs[middle...]]
  }

  func forEachInput(
    of linear: String, _ body: (Int, [Float]) throws -> Void
  ) throws {
    for run in runs {
      let values = linear == "mlp.down_proj" ? inner(Array(run), [:]) : Array(run)
      try body(run.count / hidden, values)
    }
  }

  func parts(of parent: String) throws -> [Range<Int>] { isOnePart ? [0..<2] : [0..<1, 1..<2] }

  func forEachOutput(
    of parent: String, in part: Range<Int>, replacing others: [String: Matrix],
    _ body: (Int, [Float]) throws -> Void
  ) throws {
    for run in runs[part] {
      let down = others["mlp.down_proj"] ?? weights["mlp.down_proj"]!
      try body(run.count / hidden, down.times(inner(Array(run), others)))
    }
  }

  private func inner(_ inputs: [Float], _ others: [String: Matrix]) -> [Float] {
    let gate = (others["mlp.gate_proj"] ?? weights["mlp.gate_proj"]!).times(inputs)
    let up = (others["mlp.up_proj"] ?? weights["mlp.up_proj"]!).times(inputs)
    return zip(gate, up).map { gate, up in
      let x = Double(gate)
      return Float(x / (1 + exponential(-x))) * up
    }
  }
}

extension Matrix {
  /// Each row of inputs f32 `[tokens][columns]` times the transpose: `[tokens][rows]`.
  func times(_ inputs: [Float]) -> [Float] {
    var result = [Float](repeating: 0, count: inputs.count / columns * rows)
    result.withMutableBytes {
      BLAS.multiplyTransposed(
        inputs.rawSpan, rows: inputs.count / columns, values.rawSpan, columns: rows,
        depth: columns, into: &$0)
    }
    return result
  }
}
