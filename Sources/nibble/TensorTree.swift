import Checkpoints

/// Tensors by the parts of their names.
struct TensorTree {
  private final class Node {
    var children: [(name: String, node: Node)] = []
    var positions: [String: Int] = [:]
    var tensor: Tensor?
    var byteCount = 0

    func child(_ name: String) -> Node {
      if let position = positions[name] { return children[position].node }
      let node = Node()
      positions[name] = children.count
      children.append((name, node))
      return node
    }
  }

  private let root = Node()

  init(_ tensors: [Tensor]) {
    for tensor in tensors {
      var node = root
      node.byteCount += tensor.byteCount
      for part in tensor.name.split(separator: ".", omittingEmptySubsequences: false) {
        node = node.child(String(part))
        node.byteCount += tensor.byteCount
      }
      node.tensor = tensor
    }
  }

  var text: String {
    var lines: [String] = []
    Self.add(root, prefix: "", to: &lines)
    return lines.joined(separator: "\n")
  }

  private static func add(_ node: Node, prefix: String, to lines: inout [String]) {
    for (index, (name, child)) in node.children.enumerated() {
      let isLast = index == node.children.count - 1
      var label = name.escapedForDisplay
      if let tensor = child.tensor { label += "  \(tensor.dtype) \(tensor.shape)" }
      lines.append(prefix + (isLast ? "└ " : "├ ") + label + "  " + Words.bytes(child.byteCount))
      add(child, prefix: prefix + (isLast ? "  " : "│ "), to: &lines)
    }
  }
}
