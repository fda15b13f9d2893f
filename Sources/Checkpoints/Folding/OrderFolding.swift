internal import Codecs
internal import Kernels
public import TensorCore

/// Orders of inputs (act-order) that are moved into the layers which make these inputs, for layouts
/// without a group index.
///
/// down(act(gate(x)) · up(x)) is the same function in every order of its inside: the rows of gate and up,
/// their biases and the columns of down are put into the order in which the groups of down are neighbours.
/// Every code, scale and zero point stays what it was. Only sums are added up in another order.
public struct OrderFolding: Sendable {
  /// A layer whose inputs are in another order, and those that make them.
  public struct Fold: Sendable {
    public let linear: String
    public let sources: [String]
    let permutation: Permutation
  }

  public let folds: [Fold]
  /// Why the order of a layer stays, by its name.
  let obstacles: [String: String]
  /// Orders of outputs by the names of modules.
  struct Rows {
    var orders: [String: Permutation] = [:]
    /// Dense modules that hold their outputs as columns.
    var turned: Set<String> = []
  }

  private let rows: [String: Permutation]
  private let turned: Set<String>
  private let columns: [String: Permutation]
  /// Folded layers as they are stored.
  private let originals: [String: any PackedLayer]

  /// Nothing is folded.
  static let none = OrderFolding([], [:], Rows(), of: [])

  init(
    _ folds: [Fold], _ obstacles: [String: String], _ rows: Rows, of layers: [any PackedLayer]
  ) {
    (self.rows, turned) = (rows.orders, rows.turned)
    let columns = Dictionary(folds.map { ($0.linear, $0.permutation) }) { first, _ in first }
    self.folds = folds
    self.obstacles = obstacles
    self.columns = columns
    originals = Dictionary(
      layers.filter { rows.orders[$0.claim.module] != nil || columns[$0.claim.module] != nil }
        .map { ($0.name, $0) }
    ) { first, _ in first }
  }

  /// Layers in the order they will be written in.
  func folded(_ layers: [any PackedLayer]) -> [any PackedLayer] {
    layers.map { layer in
      let module = layer.claim.module
      var folded = layer
      if let rows = rows[module] { folded = ReorderedRows(folded, rows) }
      if let columns = columns[module] { folded = ReorderedColumns(folded, columns) }
      return folded
    }
  }

  /// A dense tensor with its outputs in their new order; nil where they stay.
  func reordered(_ tensor: Tensor) -> ReorderedTensor? {
    guard let dot = tensor.name.lastIndex(of: ".") else { return nil }
    let module = String(tensor.name[..<dot])
    let axis = turned.contains(module) && tensor.shape.rank == 2 ? 1 : 0
    guard let order = rows[module], tensor.shape.rank > axis, tensor.shape[axis] == order.count
    else { return nil }
    return ReorderedTensor(source: tensor, order: order, axis: axis)
  }

  /// A layer that was folded as it is stored in the source; nil for others.
  func original(of layer: any PackedLayer) -> (any PackedLayer)? { originals[layer.name] }

  /// A folded layer of the output as the source has it.
  func restored(_ layer: any PackedLayer) -> any PackedLayer {
    let module = layer.claim.module
    var restored = layer
    if let columns = columns[module] { restored = ReorderedColumns(restored, columns.inverse) }
    if let rows = rows[module] { restored = ReorderedRows(restored, rows.inverse) }
    return restored
  }

  public var json: JSON { .array(folds.map(\.json)) }
}

extension OrderFolding.Fold {
  var json: JSON { ["inputs_of": .string(linear), "outputs_of": .strings(sources)] }
}

extension LayerClaim {
  /// What models call a layer: the dense tensor without `.weight`, with the index of a slice.
  var module: String {
    let name = dense.name
    let module = name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : name
    return slice.map { "\(module)[\($0.index)]" } ?? module
  }
}
