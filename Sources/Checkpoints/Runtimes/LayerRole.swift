/// How tensor parallelism cuts a linear layer, by the last part of its name.
enum LayerRole: Sendable {
  /// The outputs are cut: what feeds the inside of attention or MLP.
  case columnParallel
  /// The inputs are cut: what comes back from there.
  case rowParallel
  /// Not cut by any rule known here.
  case whole

  private static let columnNames: Set<String> = [
    "q_proj", "k_proj", "v_proj", "qkv_proj", "query_key_value", "c_attn", "wqkv", "gate_proj",
    "up_proj", "gate_up_proj", "fc1", "w1", "w3", "c_fc", "dense_h_to_4h", "lm_head",
  ]
  private static let rowNames: Set<String> = [
    "o_proj", "out_proj", "wo", "down_proj", "fc2", "w2", "c_proj", "dense_4h_to_h",
  ]

  init(module: String) {
    let name = Self.lastName(of: module)
    self =
      Self.columnNames.contains(name)
      ? .columnParallel : Self.rowNames.contains(name) ? .rowParallel : .whole
  }

  /// The last part of a module's path, without the index of a slice.
  static func lastName(of module: String) -> String {
    let last = module.split(separator: ".").last ?? ""
    return String(last.prefix { $0 != "[" })
  }

  /// Modules that loaders join into one matrix, in its order.
  static let fused: [[String]] = [
    ["q_proj", "k_proj", "v_proj"], ["gate_proj", "up_proj"], ["w1", "w3"],
  ]

  /// The modules that a module is joined with, itself included; nil where it stays alone.
  static func partners(of module: String) -> [String]? {
    let name = lastName(of: module)
    guard module.hasSuffix("." + name), let names = fused.first(where: { $0.contains(name) })
    else { return nil }
    let parent = module.dropLast(name.count)
    return names.map { parent + $0 }
  }
}
