internal import Kernels
internal import TensorCore

extension BlockPass {
  /// Feed-forward of normalized hidden states `[rows][width]`; the result is to be given back to the pool.
  func feedForward(_ input: Buffer) throws -> Buffer {
    switch plan.feedForward {
    case .plain(let plan): try plain(plan, input)
    case .gated(let plan): try gated(plan, input, rows: rows)
    case .experts(let plan): try experts(plan, input)
    }
  }

  private func plain(_ plan: PlainPlan, _ input: Buffer) throws -> Buffer {
    let inner = try apply([plan.up], of: self.plan.feedForwardName, to: input, rows: rows)
    defer { pool.give(inner) }
    try compute.activate(inner[0], count: rows * plan.up.rows, plan.activation)
    return try apply([plan.down], to: inner[0], rows: rows)[0]
  }

  private func gated(_ plan: GatedPlan, _ input: Buffer, rows: Int) throws -> Buffer {
    let inner = try gateAndUp(plan, input, rows)
    defer { pool.give(inner) }
    try compute.gate(inner[0], inner[1], count: rows * plan.down.columns, plan.activation)
    return try apply([plan.down], to: inner[0], rows: rows)[0]
  }

  private func gateAndUp(_ plan: GatedPlan, _ input: Buffer, _ rows: Int) throws -> [Buffer] {
    let outputs = try apply(plan.inputs, of: plan.name, to: input, rows: rows)
    guard case .fused = plan.projections else { return outputs }
    defer { pool.give(outputs) }
    return try split(outputs[0], rows, [plan.down.columns, plan.down.columns])
  }

  /// Experts in their order, each on the tokens that chose it; then the shared one, added at last.
  private func experts(_ plan: ExpertsPlan, _ input: Buffer) throws -> Buffer {
    let logits = try apply([plan.router], of: plan.name, to: input, rows: rows)
    defer { pool.give(logits) }
    let routes = Routes(
      try read(logits[0], rows * plan.router.rows), experts: plan.router.rows,
      chosen: plan.chosen, normalizesShares: plan.normalizesShares)
    let sum = try compute.makeBuffer(count)
    for (expert, tokens) in zip(plan.experts, routes.tokens) where !tokens.isEmpty {
      try add(expert, on: tokens, input, to: sum)
    }
    if let (expert, gate) = plan.shared { try add(expert, gate, input, to: sum) }
    return sum
  }

  private func add(
    _ expert: GatedPlan, on tokens: [Routes.Token], _ input: Buffer, to sum: Buffer
  ) throws {
    let chosen = tokens.map(\.row)
    let gathered = try pool.take(chosen.count * width)
    defer { pool.give(gathered) }
    try compute.gather(input, rows: chosen, width: width, into: gathered)
    let output = try gated(expert, gathered, rows: chosen.count)
    defer { pool.give(output) }
    try compute.scatter(
      output, factors: tokens.map(\.share), rows: chosen, width: width, addingTo: sum)
  }

  /// The shared expert's output times the sigmoid of its gate.
  private func add(
    _ expert: GatedPlan, _ gate: LinearPlan, _ input: Buffer, to sum: Buffer
  ) throws {
    let logits = try apply([gate], to: input, rows: rows)
    defer { pool.give(logits) }
    let shares = try read(logits[0], rows).map { Float(1 / (1 + exponential(-Double($0)))) }
    let output = try gated(expert, input, rows: rows)
    defer { pool.give(output) }
    try compute.scatter(
      output, factors: shares, rows: (0..<rows).map(Int32.init), width: width, addingTo: sum)
  }

  private func read(_ buffer: Buffer, _ count: Int) throws -> [Float] {
    try compute.floats(buffer, count)
  }
}
