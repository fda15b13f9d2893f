internal import Codecs
internal import Containers
internal import TensorCore

extension SourceFate {
  /// What becomes of the tensors of a dense source, from what becomes of those of the checkpoint that has
  /// quantized blocks in the place of its weights. Throws `internal` where nothing is known of one.
  static func traced(
    _ fates: [SourceFate], of quantized: Checkpoint, to dense: Checkpoint
  ) throws -> [SourceFate] {
    let known = Dictionary(fates.map { ($0.name, $0) }) { first, _ in first }
    var made: [String: Set<String>] = [:]
    for claim in quantized.layers {
      for part in claim.parts.values {
        guard case .converted(let names)? = known[part.name]?.fate else { continue }
        made[claim.dense.name, default: []].formUnion(names)
      }
    }
    return try dense.tensors.tensors.map { tensor in
      let name = tensor.name
      if let names = made[name] {
        return SourceFate(name: name, file: nil, fate: .converted(into: names.inOrder))
      }
      guard let fate = known[name], let read = quantized.tensors[name] else {
        throw Failure(.internal, at: name, "the plan does not say what becomes of the tensor")
      }
      // Norms and weights that scales were folded into are read from a block, not from the source.
      let isItself = read.source.path == tensor.source.path
      return isItself ? fate : SourceFate(name: name, file: nil, fate: .converted(into: [name]))
    }
  }
}

extension Set<String> {
  /// Bytewise.
  var inOrder: [String] {
    sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}
