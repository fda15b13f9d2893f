import Codecs
import Containers
import Kernels
import Synchronization
import TensorCore

/// Reads tensors back and compares them with what they are made from, made once more.
struct DenseProof {
  let parts: [(name: String, part: EncodedPart)]
  let output: Checkpoint
  let threads: Int

  /// One comparison for each dense tensor; its "codes" are weights. Throws `io`.
  func run(progress: @escaping @Sendable (Int, Int) -> Void) throws -> [LayerComparison] {
    let tasks = parts.indices.flatMap { index in
      let rows = parts[index].part.rows
      let step = max(parts[index].part.alignment, rowsPerBand(parts[index].part))
      return stride(from: 0, to: rows, by: step).map { (index, $0..<min($0 + step, rows)) }
    }
    let results = Mutex(parts.map { LayerComparison(name: $0.name) })
    let done = Mutex(0)
    try parallelBands(tasks.count, threads: threads) { index, workspace in
      let (position, rows) = tasks[index]
      let part = try compare(parts[position].part, rows, workspace)
      results.withLock { $0[position].add(part) }
      progress(
        done.withLock { sum in
          sum += 1
          return sum
        }, tasks.count)
    }
    return results.withLock { $0 }
  }

  private func rowsPerBand(_ part: EncodedPart) -> Int {
    let rowBytes = max(1, part.info.byteCount / max(1, part.rows))
    return BandSize.turned / rowBytes / part.alignment * part.alignment
  }

  private func compare(
    _ part: EncodedPart, _ rows: Range<Int>, _ workspace: Workspace
  ) throws -> LayerComparison {
    guard let tensor = output.tensors[part.info.name] else {
      throw Failure(.differs, at: part.info.name, "the tensor is missing from the output")
    }
    let rowBytes = part.info.byteCount / part.rows
    let size = part.info.dtype.bits / 8
    var result = LayerComparison(name: part.info.name)
    result.codes = rows.count * rowBytes / size
    try workspace.lend(rows.count * rowBytes) { written in
      try tensor.read(into: &written, at: rows.lowerBound * rowBytes)
      try workspace.lend(rows.count * rowBytes) { expected in
        try part.make(rows, &expected, workspace)
        let bytes = Bytes.countDifferences(written.bytes, expected.bytes)
        result.differingCodes = bytes.dividedRoundingUp(by: size)
      }
    }
    return result
  }
}
