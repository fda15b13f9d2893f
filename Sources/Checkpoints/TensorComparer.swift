import Kernels
import Synchronization
import TensorCore

/// Compares dense tensors byte for byte, in bands.
struct TensorComparer {
  private static let bandBytes = 1 << 20

  let pairs: [(a: Tensor, b: Tensor)]
  let threads: Int

  /// The indices of pairs whose type, shape or bytes differ, ascending. Throws `io`.
  func run() throws -> [Int] {
    let sameInfo = pairs.map { $0.a.dtype == $0.b.dtype && $0.a.shape == $0.b.shape }
    let tasks = pairs.indices.filter { sameInfo[$0] }.flatMap { pair in
      stride(from: 0, to: pairs[pair].a.byteCount, by: Self.bandBytes).map { (pair, $0) }
    }
    let differing = Mutex(Set(pairs.indices.filter { !sameInfo[$0] }))
    try parallelBands(tasks.count, threads: threads) { index, workspace in
      let (pair, start) = tasks[index]
      if try !isEqual(pairs[pair], at: start, workspace) {
        _ = differing.withLock { $0.insert(pair) }
      }
    }
    return differing.withLock { $0.sorted() }
  }

  private func isEqual(
    _ pair: (a: Tensor, b: Tensor), at start: Int, _ workspace: Workspace
  ) throws -> Bool {
    let count = min(Self.bandBytes, pair.a.byteCount - start)
    return try workspace.lend(count) { first in
      try pair.a.read(into: &first, at: start)
      return try workspace.lend(count) { second in
        try pair.b.read(into: &second, at: start)
        return Bytes.countDifferences(first.bytes, second.bytes) == 0
      }
    }
  }
}
