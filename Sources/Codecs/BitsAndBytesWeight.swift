import Kernels
import TensorCore

/// The tensors of a 4-bit module of bitsandbytes, checked against its state (BNB-1 to BNB-10).
struct BitsAndBytesWeight {
  let module: String
  let state: QuantState
  let packed: Tensor
  let absmax: Tensor
  let map: Tensor
  let nestedAbsmax: Tensor?
  let nestedMap: Tensor?
  private let stateTensor: Tensor

  /// nil where the module has none of the layout's parts. Reads the state, some 200 bytes, and the
  /// table. Throws `malformed` or `unsupported` where parts are missing or do not fit, `io`.
  init?(_ module: String, in table: TensorTable, isDeclared: Bool) throws {
    func part(_ name: String) -> Tensor? { table["\(module).\(name)"] }
    let states = QuantState.Kind.allCases.compactMap { part(QuantState.Part.state($0)) }
    let own = [QuantState.Part.absmax, QuantState.Part.map, QuantState.Part.nestedAbsmax]
    guard isDeclared || !states.isEmpty || own.contains(where: { part($0) != nil }) else {
      return nil
    }
    guard states.count == 1 else {
      throw Self.incomplete(
        module, "one quant_state.bitsandbytes__nf4 or __fp4", found: "\(states.count)", table)
    }
    func needed(_ name: String) throws -> Tensor {
      guard let tensor = part(name) else {
        throw Self.incomplete(module, "a tensor \(module).\(name)", found: "none", table)
      }
      return tensor
    }
    self.module = module
    stateTensor = states[0]
    packed = try needed(QuantState.Part.weight)
    absmax = try needed(QuantState.Part.absmax)
    map = try needed(QuantState.Part.map)
    nestedAbsmax = part(QuantState.Part.nestedAbsmax)
    nestedMap = part(QuantState.Part.nestedMap)
    if nestedAbsmax != nil { _ = try needed(QuantState.Part.nestedMap) }
    if nestedMap != nil { _ = try needed(QuantState.Part.nestedAbsmax) }
    state = try QuantState(reading: stateTensor, hasNestedParts: nestedAbsmax != nil)
    try checkCodes()
    try checkMaxima()
    try checkTable()
  }

  private static func incomplete(
    _ module: String, _ expected: String, found: String, _ table: TensorTable
  ) -> Failure {
    let place = table["\(module).weight"]?.source.path ?? module
    return Failure(
      .malformed, at: place, "layer \(module) is incomplete", expected: expected, found: found,
      rule: "BNB-1")
  }

  /// BNB-7: two codes a byte, whatever type the bytes are labelled with.
  private func checkCodes() throws {
    let count = state.codeCount.dividedRoundingUp(by: 2)
    guard QuantState.storages.contains(where: { $0.type == packed.dtype }),
      packed.byteCount == count
    else {
      throw Failure(
        .malformed, at: packed.place, "the packed codes do not fit the shape",
        expected: "\(count) bytes as U8, I8, F16, BF16, F32 or F64",
        found: "\(packed.byteCount) as \(packed.dtype)", rule: "BNB-7")
    }
  }

  /// BNB-8 and BNB-10: a maximum for each block, plain or packed.
  private func checkMaxima() throws {
    let types: [DType] = state.nested == nil ? [.f32, .f16, .bf16] : [.u8]
    try Self.check(
      absmax, "block maxima", types, state.blockCount,
      rule: state.nested == nil ? "BNB-8" : "BNB-10")
    guard let nestedAbsmax, let nestedMap else { return }
    try Self.check(
      nestedAbsmax, "maxima of packed maxima", [.f32], state.nestedBlockCount, rule: "BNB-10")
    try Self.check(nestedMap, "the table of packed maxima", [.f32], 256, rule: "BNB-10")
  }

  private static func check(
    _ tensor: Tensor, _ what: String, _ types: [DType], _ count: Int, rule: String
  ) throws {
    guard types.contains(tensor.dtype), tensor.shape.count == count else {
      throw Failure(
        .malformed, at: tensor.place, what,
        expected: "\(types.map(\.rawValue).joined(separator: " or ")), \(count) of them",
        found: "\(tensor.dtype) \(tensor.shape)", rule: rule)
    }
  }

  /// BNB-9: kernels have the table built in, so another one in the file would be decoded by some
  /// readers only. Both zeros are equal.
  private func checkTable() throws {
    try Self.check(map, "the table of the codes", [.f32], 16, rule: "BNB-9")
    let block = try map.contents()
    guard case .table(_, let values) = state.kind.grid else { return }
    if let code = (0..<16).first(where: { block.bytes.float32(at: $0) != values[$0] }) {
      throw Failure(
        .malformed, at: map.place, "code \(code) of the table", expected: "\(values[code])",
        found: "\(block.bytes.float32(at: code))", rule: "BNB-9")
    }
  }
}

extension BitsAndBytesWeight {
  /// Columns that are sure to share a maximum: blocks run over the ends of rows.
  var groupSize: Int {
    var (a, b) = (state.blockSize, state.columns)
    while b > 0 { (a, b) = (b, a % b) }
    return a
  }

  var parts: [String: Tensor] {
    let tensors = [packed, absmax, map, nestedAbsmax, nestedMap, stateTensor].compactMap(\.self)
    return Dictionary(
      uniqueKeysWithValues: tensors.map { (String($0.name.dropFirst(module.count + 1)), $0) })
  }

  func claim(findings: [Finding]) -> LayerClaim {
    LayerClaim(
      name: module, layout: BitsAndBytes.layout, rows: state.rows, columns: state.columns, bits: 4,
      groupSize: groupSize, parts: parts, findings: findings)
  }
}
