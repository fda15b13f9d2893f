import Codecs
import Containers
import Kernels
import Synchronization
import TensorCore

/// Reads tensors back and compares them with what they are made from, made once more.
struct DenseProof {
  /// A tensor, and one that comes of making it.
  struct Part: Sendable {
    let name: String
    let part: EncodedPart
    var companion: Companion?
  }

  let parts: [Part]
  let output: Checkpoint
  let threads: Int
  /// Bytes of a part that are made at a time.
  var bandBytes = BandSize.turned

  /// One comparison for each tensor, a companion's behind its own; "codes" are numbers. Throws `io`.
  func run(progress: @escaping @Sendable (Int, Int) -> Void) throws -> [LayerComparison] {
    let tasks = parts.indices.flatMap { index in
      let rows = parts[index].part.rows
      let step = max(parts[index].part.alignment, rowsPerBand(parts[index].part))
      return stride(from: 0, to: rows, by: step).map { (index, $0..<min($0 + step, rows)) }
    }
    let results = Mutex(
      parts.map { part in
        ([part.name] + [part.companion?.part.info.name].compactMap(\.self)).map {
          LayerComparison(name: $0)
        }
      })
    let done = Mutex(0)
    try parallelBands(tasks.count, threads: threads) { index, workspace in
      let (position, rows) = tasks[index]
      let found = try compare(parts[position], rows, workspace)
      results.withLock { results in
        for (place, result) in found.enumerated() { results[position][place].add(result) }
      }
      progress(
        done.withLock { sum in
          sum += 1
          return sum
        }, tasks.count)
    }
    return results.withLock { $0.flatMap(\.self) }
  }

  private func rowsPerBand(_ part: EncodedPart) -> Int {
    let rowBytes = max(1, part.info.byteCount / max(1, part.rows))
    return bandBytes / rowBytes / part.alignment * part.alignment
  }

  private func compare(
    _ part: Part, _ rows: Range<Int>, _ workspace: Workspace
  ) throws -> [LayerComparison] {
    let own = part.part
    let rowBytes = own.info.byteCount / own.rows
    let bytes = rows.lowerBound * rowBytes..<rows.upperBound * rowBytes
    return try workspace.lend(bytes.count) { expected in
      guard let companion = part.companion else {
        try own.make(rows, &expected, workspace)
        return [try compare(own.info, bytes, expected.bytes, workspace)]
      }
      let others = companion.bytes(rows)
      return try workspace.lend(others.count) { beside in
        try companion.make(rows, &expected, &beside, workspace)
        return [
          try compare(own.info, bytes, expected.bytes, workspace),
          try compare(companion.part.info, others, beside.bytes, workspace),
        ]
      }
    }
  }

  /// A run of bytes of a tensor of the output.
  private func compare(
    _ info: TensorInfo, _ range: Range<Int>, _ expected: RawSpan, _ workspace: Workspace
  ) throws -> LayerComparison {
    guard let tensor = output.tensors[info.name] else {
      throw Failure(.differs, at: info.name, "the tensor is missing from the output")
    }
    let size = info.dtype.bits / 8
    var result = LayerComparison(name: info.name)
    result.codes = range.count / size
    try workspace.lend(range.count) { written in
      try tensor.read(into: &written, at: range.lowerBound)
      let bytes = Bytes.countDifferences(written.bytes, expected)
      result.differingCodes = bytes.dividedRoundingUp(by: size)
    }
    return result
  }
}
