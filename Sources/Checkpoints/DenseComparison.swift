internal import Codecs
internal import Containers
internal import Kernels
internal import TensorCore

/// Tensors that are dense in both of two checkpoints, compared byte for byte, and by value where
/// their bytes differ and they are floats of one shape.
struct DenseComparison {
  let count: Int
  /// Those that are not the same.
  let differing: [String]
  /// Those that were compared by value, or could not be.
  let byValue: [LayerComparison]

  /// Reads both sides in bands. Throws `io`.
  init(_ a: Checkpoint, _ b: Checkpoint, _ options: CheckpointComparison.Options) throws {
    let others = Dictionary(b.denseTensors.map { ($0.name, $0) }) { first, _ in first }
    let pairs = a.denseTensors.compactMap { tensor in others[tensor.name].map { (tensor, $0) } }
    let unlike = try TensorComparer(pairs: pairs, threads: options.threads).run().map { pairs[$0] }
    var floats: [(name: String, a: ValueMatrix, b: ValueMatrix)] = []
    for (first, second) in unlike where first.shape == second.shape {
      guard let one = ValueMatrix(first), let other = ValueMatrix(second) else { continue }
      floats.append((first.name, one, other))
    }
    let values = try ValueComparer(
      pairs: floats.map { ($0.a, $0.b) }, threads: options.threads
    ).run()
    var byValue: [LayerComparison] = []
    for (pair, values) in zip(floats, values) {
      var result = LayerComparison(name: pair.name)
      result.take(values, tolerance: options.toleranceULPs)
      // Where the types agree, only a tolerance makes other bytes the same numbers.
      if pair.a.dtype == pair.b.dtype && options.toleranceULPs == 0 {
        result.isWithinTolerance = false
      }
      byValue.append(result)
    }
    let same = Set(byValue.filter(\.isEqual).map(\.name))
    differing = unlike.map(\.0.name).filter { !same.contains($0) }
    self.byValue = byValue
    count = pairs.count
  }
}
