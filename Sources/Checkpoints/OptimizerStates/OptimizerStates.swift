internal import Containers
public import TensorCore

/// The states of an optimizer in a safetensors file, as `Formats/bitsandbytes-optimizer.md` names
/// them.
public struct OptimizerStates: Sendable {
  public let path: String
  /// One for each parameter, in the order of their names.
  public let entries: [OptimizerEntry]
  /// Tensors that are no states; they are copied.
  public let others: [Tensor]
  /// The strings of the header.
  public let metadata: [String: String]

  /// The dictionary that bitsandbytes wraps its tensors in for FSDP.
  static let wrapper = "__bnb_optimizer_quant_state__"

  /// Reads the header; no state is touched. O(header).
  ///
  /// Throws as any safetensors file does, `unsupported` (BNBO-1) for a pickle, which is never
  /// opened, and `malformed` with a BNBO rule where states do not fit together.
  public init(opening path: String) throws {
    let header: SafetensorsHeader
    do {
      header = try SafetensorsHeader(reading: InputFile(path: path))
    } catch let failure as Failure where failure.rule == "ST-22" {
      throw Failure(
        .unsupported, at: path, "a pickle of PyTorch, which can run code when opened: never read",
        expected: "a safetensors file", rule: "BNBO-1",
        remedy: "load it where that is safe, with torch.load(weights_only=True), and save its "
          + "tensors as Formats/bitsandbytes-optimizer.md names them")
    }
    self.path = path
    metadata = Dictionary(
      header.metadata.members.map { ($0.key, $0.value.string ?? "") }
    ) { first, _ in first }
    var parts: [OptimizerName: [String: Tensor]] = [:]
    var others: [Tensor] = []
    for tensor in header.tensors {
      guard let (name, key) = OptimizerName.split(tensor.name) else {
        others.append(tensor)
        continue
      }
      guard parts[name, default: [:]].updateValue(tensor, forKey: key) == nil else {
        throw Failure(.malformed, at: tensor.place, "the state is there twice", rule: "BNBO-2")
      }
    }
    // What belongs to no state, such as the steps of another optimizer, is left alone.
    let found = parts.filter { OptimizerEntry.isState($0.value) }
    others += parts.filter { !OptimizerEntry.isState($0.value) }.values.flatMap(\.values)
    self.others = others.sorted { $0.name < $1.name }
    entries = try found.sorted { $0.key < $1.key }.map {
      try OptimizerEntry(name: $0.key, parts: $0.value, at: path)
    }
    guard !entries.isEmpty else {
      throw Failure(
        .malformed, at: path, "there are no optimizer states", expected: "….state1",
        rule: "BNBO-2")
    }
  }
}

/// The part of a tensor's name that stands for a parameter.
public struct OptimizerName: Hashable, Comparable, Sendable {
  /// The name of the parameter, or its number: all before the last key, without the wrapper.
  public let text: String

  static let keys: Set<String> = [
    "step", "state1", "state2", "qmap1", "qmap2", "absmax1", "absmax2", "unorm_vec", "gnorm_vec",
    "max1", "max2", "new_max1", "new_max2",
  ]

  /// The parameter and the key of a tensor's name (BNBO-2); nil where it is neither.
  static func split(_ name: String) -> (OptimizerName, key: String)? {
    guard let dot = name.lastIndex(of: ".") else { return nil }
    let key = String(name[name.index(after: dot)...])
    var text = name[..<dot]
    let suffix = "." + OptimizerStates.wrapper
    if text.hasSuffix(suffix) { text = text.dropLast(suffix.count) }
    guard keys.contains(key), !text.isEmpty else { return nil }
    return (OptimizerName(text: String(text)), key)
  }

  /// Numbers in their order, before and between names.
  public static func < (left: OptimizerName, right: OptimizerName) -> Bool {
    let (a, b) = (left.text.split(separator: "."), right.text.split(separator: "."))
    for (x, y) in zip(a, b) where x != y {
      if let m = Int(x), let n = Int(y), m != n { return m < n }
      return x < y
    }
    return a.count < b.count
  }
}
