internal import Containers
internal import Kernels
public import TensorCore

/// What a finished repair has shown about itself.
public struct RepairReport: Sendable {
  public let path: String
  public let mends: [Mend]
  /// Tensors that were read back and equal those of the source byte for byte.
  public let tensors: Int

  public var json: JSON {
    [
      "output": .string(path), "mends": .array(mends.map(\.json)), "tensors": .integer(tensors),
    ]
  }
}

extension RepairPlan {
  /// Writes the repaired checkpoint into a new folder, opens it with the strict reader and compares
  /// every tensor with the source; only then the folder takes its name. The source stays as it is.
  ///
  /// Throws `usage` where the output exists and `force` is not set, `io`, `differs` where the proof
  /// fails; nothing is left then.
  public func pour(
    to path: String, force: Bool = false, sync: Bool = true, threads: Int = Processor.cores
  ) throws -> RepairReport {
    try OutputGuard(
      source: source.folder, isLoneFile: source.isLoneFile, output: path, force: force
    ).check()
    let folder = try OutputFolder(path: path, replacing: force)
    do {
      for shard in shards { try write(shard, into: folder, sync: sync) }
      if let index { try folder.write(index.bytes, to: index.name, sync: sync) }
      try sideFiles.copy(to: folder, sync: sync)
      try prove(at: folder.staging, threads: threads)
      try folder.finish(sync: sync)
    } catch {
      folder.discard()
      throw error
    }
    return RepairReport(path: path, mends: mends, tensors: tensors.count)
  }

  private func write(_ shard: Shard, into folder: OutputFolder, sync: Bool) throws {
    let file = try folder.makeFile(shard.name)
    try file.reserve(shard.layout.byteCount)
    try file.write(shard.layout.header, at: 0)
    for (placement, tensor) in zip(shard.layout.placements, shard.tensors) {
      let range = tensor.offset..<tensor.offset + tensor.byteCount
      guard let source = tensor.source as? InputFile else {
        throw Failure(.internal, at: tensor.place, "the source is no file")
      }
      try file.copy(range, of: source, to: placement.offset)
    }
    try file.commit(byteCount: shard.layout.byteCount, sync: sync)
  }

  private func prove(at staging: String, threads: Int) throws {
    let output = try ShardedTensors(opening: index.map { staging + "/" + $0.name } ?? staging)
    if let problem = output.problems.first { throw problem }
    guard output.tensors.count == tensors.count else {
      throw Failure(
        .differs, at: staging, "tensors of the output", expected: "\(tensors.count)",
        found: "\(output.tensors.count)")
    }
    let pairs = try tensors.map { tensor in
      guard let copy = output[tensor.name] else {
        throw Failure(.differs, at: tensor.place, "the tensor is missing from the output")
      }
      return (a: tensor, b: copy)
    }
    if let first = try TensorComparer(pairs: pairs, threads: threads).run().first {
      throw Failure(.differs, at: pairs[first].a.place, "the tensor has other bytes in the output")
    }
  }
}
