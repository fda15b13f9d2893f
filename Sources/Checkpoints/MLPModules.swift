import Codecs
import TensorCore

/// The linear modules of a checkpoint, packed or dense.
struct MLPModules {
  private let shapes: [String: (rows: Int, columns: Int)]
  private let layers: [String: LayerClaim]
  private let dense: [Tensor]

  init(_ source: Checkpoint) {
    var shapes: [String: (rows: Int, columns: Int)] = [:]
    dense = source.denseTensors
    for tensor in dense where tensor.name.hasSuffix(".weight") {
      guard let shape = tensor.shape.matrix else { continue }
      shapes[String(tensor.name.dropLast(".weight".count))] = shape
    }
    for layer in source.layers { shapes[layer.name] = (layer.rows, layer.columns) }
    self.shapes = shapes
    layers = Dictionary(source.layers.map { ($0.name, $0) }) { first, _ in first }
  }

  func names(ending name: String) -> [String] {
    shapes.keys.filter { $0.hasSuffix("." + name) }.sorted()
  }

  func contains(_ name: String) -> Bool { shapes[name] != nil }

  func shape(of name: String) -> (rows: Int, columns: Int)? { shapes[name] }

  /// nil where the module is dense, or each of its rows one group.
  func groupSize(of name: String) -> Int? {
    layers[name].flatMap { $0.groups > 1 ? $0.groupSize : nil }
  }

  /// A tensor or packed layer beside known modules that seems to see the inside too.
  func stranger(besides known: Set<String>, size: Int) -> String? {
    let parents = Set(known.map { $0.prefix(through: $0.lastIndex(of: ".") ?? $0.startIndex) })
    let sides = [size, 2 * size]
    let tensors = dense.filter { tensor in
      let parts = tensor.name.split(separator: ".")
      let isKnown =
        known.contains(parts.dropLast().joined(separator: "."))
        && ["weight", "bias"].contains(parts.last ?? "")
      return !isKnown && tensor.shape.dimensions.contains { sides.contains($0) }
    }
    let others = layers.values.filter {
      !known.contains($0.name) && (sides.contains($0.rows) || sides.contains($0.columns))
    }
    return (tensors.map(\.name) + others.map(\.name)).sorted().first { name in
      parents.contains { name.hasPrefix($0) }
    }
  }
}
