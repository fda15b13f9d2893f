import Codecs
import Kernels
import Models
import TensorCore

/// Finds what can be folded: by the architecture's table, where every tensor on the way is known.
struct FoldSearch {
  /// Why an order stays.
  private struct Obstacle: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
  }

  /// Where the model's table has a linear layer.
  private struct Place {
    let block: BlockPlan
    let absorbed: AbsorbedOrder?
  }

  let source: Checkpoint
  let layers: [any PackedLayer]
  let fitter: LayerFitter
  private let packed: [String: any PackedLayer]
  private let dense: [String: Tensor]

  init(_ source: Checkpoint, _ layers: [any PackedLayer], _ fitter: LayerFitter) {
    self.source = source
    self.layers = layers
    self.fitter = fitter
    packed = Dictionary(layers.map { ($0.claim.module, $0) }) { first, _ in first }
    dense = Dictionary(source.denseTensors.map { ($0.name, $0) }) { first, _ in first }
  }

  /// What is folded, and of the other layers that the layout can't hold in their order, why not. Reads zero
  /// points. Throws `io`.
  func run() throws -> OrderFolding {
    guard !fitter.codec.keepsOrder else { return .none }
    let permuted = try heldBackByOrder()
    guard !permuted.isEmpty else { return .none }
    let places: [String: Place]
    do {
      places = try self.places()
    } catch let obstacle as Obstacle {
      let reasons = permuted.map { ($0.name, obstacle.reason) }
      return OrderFolding([], Dictionary(reasons) { first, _ in first }, .init(), of: [])
    }
    var folds: [OrderFolding.Fold] = []
    var rows = OrderFolding.Rows()
    var obstacles: [String: String] = [:]
    var strangers = Strangers()
    for layer in permuted {
      do {
        let (fold, sources) = try fold(layer, places, &strangers)
        folds.append(fold)
        rows.orders.merge(sources) { first, _ in first }
      } catch let obstacle as Obstacle {
        obstacles[layer.name] = obstacle.reason
      }
    }
    rows.turned = Set(rows.orders.keys.filter { isTurned($0, places) })
    return OrderFolding(folds, obstacles, rows, of: layers)
  }

  /// Layers that the target could hold but for the order of their inputs.
  private func heldBackByOrder() throws -> [any PackedLayer] {
    let permuted = layers.filter(\.form.grouping.isPermuted)
    let areHeldBack = Gathered<Bool>(count: permuted.count)
    try parallelBands(permuted.count, threads: fitter.options.threads) { index, workspace in
      let sorted = Self.sorted(permuted[index]).layer
      let isHeldBack =
        try sorted.form.grouping.isPermuted || fitter.refusal(of: sorted, workspace) == nil
      areHeldBack.set(isHeldBack, at: index)
    }
    return zip(permuted, areHeldBack.values).filter(\.1).map(\.0)
  }

  private static func sorted(
    _ layer: any PackedLayer
  ) -> (layer: any PackedLayer, permutation: Permutation) {
    let permutation = Permutation(
      sortingGroupsOf: layer.form.grouping, columns: layer.form.columns)
    return (ReorderedColumns(layer, permutation), permutation)
  }

  /// Every linear layer of the model by its module.
  private func places() throws -> [String: Place] {
    guard fitter.options.foldsOrders else { throw Obstacle("--no-fold leaves orders alone") }
    guard source.config.model != nil else {
      throw Obstacle("without config.json nothing says what makes its inputs")
    }
    do {
      let blueprint = try source.blueprint()
      var places: [String: Place] = [:]
      for block in blueprint.blocks {
        for linear in block.linears { places[linear.name] = Place(block: block, absorbed: nil) }
        for order in block.absorbedOrders {
          places[order.linear] = Place(block: block, absorbed: order)
        }
      }
      return places
    } catch let failure as Failure {
      throw Obstacle(
        "what makes its inputs is not known: \(failure.what)"
          + (failure.found.map { " (\($0))" } ?? ""))
    }
  }

  private func fold(
    _ layer: any PackedLayer, _ places: [String: Place], _ strangers: inout Strangers
  ) throws -> (OrderFolding.Fold, rows: [String: Permutation]) {
    let module = layer.claim.module
    guard let place = places[module] else {
      throw Obstacle("the architecture's table does not say what makes its inputs")
    }
    guard let order = place.absorbed else { throw Obstacle(Self.reason(module, in: place.block)) }
    let columns = layer.form.columns
    let (sorted, permutation) = Self.sorted(layer)
    guard !sorted.form.grouping.isPermuted else {
      throw Obstacle("its groups are not all of one size")
    }
    if let stranger = stranger(in: place.block, size: columns, &strangers) {
      throw Obstacle("\(stranger) may see its inputs too, and no table knows it")
    }
    var rows: [String: Permutation] = [:]
    for (linear, range) in order.sources {
      let count = try self.rows(of: linear, in: place.block)
      guard range.count == columns, range.upperBound <= count else {
        throw Obstacle("\(linear) has \(count) outputs, which are not its inputs")
      }
      var moved = rows[linear]?.sources ?? (0..<Int32(count)).map { $0 }
      for (place, source) in permutation.sources.enumerated() {
        moved[range.lowerBound + place] = Int32(range.lowerBound) + source
      }
      rows[linear] = Permutation(moved)
    }
    var sources: [String] = []
    for (linear, _) in order.sources where !sources.contains(linear) { sources.append(linear) }
    return (.init(linear: module, sources: sources, permutation: permutation), rows)
  }

  /// The outputs of a module, packed or dense.
  private func rows(of linear: String, in block: BlockPlan) throws -> Int {
    if let layer = packed[linear] { return layer.form.rows }
    guard let plan = block.linears.first(where: { $0.name == linear }),
      let tensor = dense[plan.tensorName], plan.slice == nil, let shape = tensor.shape.matrix
    else { throw Obstacle("\(linear) is not stored as a matrix of its own") }
    return plan.isTransposed ? shape.columns : shape.rows
  }

  /// Whether a module is dense and holds its outputs as columns.
  private func isTurned(_ module: String, _ places: [String: Place]) -> Bool {
    guard packed[module] == nil, let block = places[module]?.block else { return false }
    return block.linears.contains { $0.name == module && $0.isTransposed }
  }

  /// Why the order of inputs stays that no layer of the block could take over.
  private static func reason(_ module: String, in block: BlockPlan) -> String {
    module == block.attention.output.name
      ? "its inputs are those of attention heads, which keep their places"
      : "its inputs are the stream that all blocks read and add to, in one order for all"
  }

  /// What was found in blocks by name and size: one may have hundreds of experts.
  private struct Strangers {
    var found: [String: String?] = [:]
  }

  /// A tensor or packed layer of a block that is none of the architecture's and has a side as long as the
  /// inside of the feed-forward module.
  private func stranger(
    in block: BlockPlan, size: Int, _ strangers: inout Strangers
  ) -> String? {
    let key = "\(block.name) \(size)"
    if let found = strangers.found[key] { return found }
    let prefix = block.name + "."
    let linears = Set(block.linears.map(\.name))
    let known = Set(block.tensorNames).union(linears.flatMap { [$0 + ".weight", $0 + ".bias"] })
    let sides = [size, 2 * size]
    let tensors = dense.values.filter { tensor in
      tensor.name.hasPrefix(prefix) && !known.contains(tensor.name)
        && tensor.shape.dimensions.contains(where: sides.contains)
    }.map(\.name)
    let others = packed.filter { module, layer in
      module.hasPrefix(prefix) && !linears.contains(module)
        && (sides.contains(layer.form.rows) || sides.contains(layer.form.columns))
    }.map(\.key)
    let first = (tensors + others).min()
    strangers.found[key] = .some(first)
    return first
  }
}
