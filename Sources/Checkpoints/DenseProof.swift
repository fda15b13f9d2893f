import Codecs
import Containers
import Kernels
import Synchronization
import TensorCore

/// Reads dense weights back and compares them with the layers they came from, decoded anew by the
/// plain kernels where the writer used faster ones.
struct DenseProof {
  let plan: ConversionPlan
  let output: Checkpoint

  /// One comparison for each dense tensor; its "codes" are weights. Throws `io`.
  func run(progress: @escaping @Sendable (Int, Int) -> Void) throws -> [LayerComparison] {
    let parts = plan.outputs.compactMap { output -> (EncodedPart, any PackedLayer)? in
      if case .encode(let part, let layer) = output.recipe { (part, layer) } else { nil }
    }
    let tasks = parts.indices.flatMap { index in
      let rows = parts[index].0.info.shape[0]
      let step = max(parts[index].0.alignment, rowsPerBand(parts[index].0))
      return stride(from: 0, to: rows, by: step).map { (index, $0..<min($0 + step, rows)) }
    }
    let results = Mutex(parts.map { LayerComparison(name: $0.1.name) })
    let done = Mutex(0)
    try parallelBands(tasks.count, threads: plan.options.threads) { index, workspace in
      let (position, rows) = tasks[index]
      let part = try compare(parts[position].0, rows, workspace)
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
    let rowBytes = max(1, part.info.byteCount / max(1, part.info.shape[0]))
    return BandSize.turned / rowBytes / part.alignment * part.alignment
  }

  private func compare(
    _ part: EncodedPart, _ rows: Range<Int>, _ workspace: Workspace
  ) throws -> LayerComparison {
    guard let tensor = output.tensors[part.info.name] else {
      throw Failure(.differs, at: part.info.name, "the tensor is missing from the output")
    }
    let rowBytes = part.info.byteCount / part.info.shape[0]
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
