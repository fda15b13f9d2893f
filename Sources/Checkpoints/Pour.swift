import Codecs
import Containers
import Kernels
import Synchronization
import TensorCore

/// Writes the tensors of a plan: bands of every output on all threads, each at its final place.
///
/// Memory: one band and what it is made from for each thread. A file is flushed and named as soon
/// as its last band is written; the index comes after all of them.
struct Pour {
  /// A run of bytes of one output tensor.
  private struct Band: Sendable {
    let shard: Int
    let offset: Int
    /// Rows of the outermost axis, or bytes of a copy.
    let range: Range<Int>
    let byteCount: Int
    let recipe: ConversionPlan.Recipe
  }

  /// Called with bytes written so far and in all, from any thread.
  typealias Progress = @Sendable (_ done: Int, _ total: Int) -> Void

  private static let copyBytes = 16 << 20

  let plan: ConversionPlan
  let folder: OutputFolder
  let progress: Progress?

  /// Shards that an earlier run has completed are left as they are; the proof reads them too.
  func run() throws {
    let shards = plan.shards.shards
    let files = try shards.map { shard -> OutputFile? in
      if isComplete(shard) { return nil }
      let file = try folder.makeFile(shard.name)
      try file.reserve(shard.layout.byteCount)
      try file.write(shard.layout.header, at: 0)
      return file
    }
    let bands = bands().filter { files[$0.shard] != nil }
    let open = shards.indices.map { shard in bands.count { $0.shard == shard } }
    try pour(bands, into: files, open: open)
    for (shard, file) in files.enumerated() where open[shard] == 0 { try commit(file, shard) }
    if let index = plan.shards.index {
      try folder.write(index, to: plan.shards.indexName, sync: plan.options.sync)
    }
  }

  private func isComplete(_ shard: ShardLayout.Shard) -> Bool {
    guard folder.completed.contains(shard.name) else { return false }
    let file = try? InputFile(path: folder.staging + "/" + shard.name)
    return file?.size == shard.layout.byteCount
  }

  private func pour(_ bands: [Band], into files: [OutputFile?], open: [Int]) throws {
    let left = Mutex(open)
    let done = Mutex(0)
    let total = bands.reduce(0) { $0 + $1.byteCount }
    try parallelBands(bands.count, threads: plan.options.threads) { index, workspace in
      let band = bands[index]
      guard let file = files[band.shard] else { return }
      try write(band, to: file, workspace)
      let isLast = left.withLock { counts in
        counts[band.shard] -= 1
        return counts[band.shard] == 0
      }
      if isLast { try commit(file, band.shard) }
      let bytes = done.withLock { sum in
        sum += band.byteCount
        return sum
      }
      progress?(bytes, total)
    }
  }

  private func commit(_ file: OutputFile?, _ shard: Int) throws {
    let byteCount = plan.shards.shards[shard].layout.byteCount
    try file?.commit(byteCount: byteCount, sync: plan.options.sync)
  }

  private func write(_ band: Band, to file: OutputFile, _ workspace: Workspace) throws {
    switch band.recipe {
    case .copy(let tensor):
      let start = tensor.offset + band.range.lowerBound
      if let source = tensor.source as? InputFile {
        return try file.copy(start..<start + band.range.count, of: source, to: band.offset)
      }
      try workspace.lend(band.byteCount) { bytes in
        try tensor.read(into: &bytes, at: band.range.lowerBound)
        try file.write(bytes.bytes, at: band.offset)
      }
    case .encode(let part, _), .pad(let part):
      try workspace.lend(band.byteCount) { bytes in
        try part.make(band.range, &bytes, workspace)
        try file.write(bytes.bytes, at: band.offset)
      }
    }
  }

  private func bands() -> [Band] {
    let recipes = Dictionary(
      uniqueKeysWithValues: plan.outputs.map { ($0.info.name, $0.recipe) })
    return plan.shards.shards.enumerated().flatMap { shard, file in
      file.layout.placements.flatMap { placement -> [Band] in
        guard let recipe = recipes[placement.info.name] else { return [] }
        return bands(of: placement.info, recipe, at: placement.offset, in: shard)
      }
    }
  }

  private func bands(
    of info: TensorInfo, _ recipe: ConversionPlan.Recipe, at offset: Int, in shard: Int
  ) -> [Band] {
    guard info.byteCount > 0 else { return [] }
    let rows: Int
    let step: Int
    switch recipe {
    case .copy: (rows, step) = (info.byteCount, Self.copyBytes)
    case .encode(let part, let layer):
      rows = info.shape[0]
      step = Self.step(part, rowBytes: info.byteCount / rows, layer)
    case .pad:
      rows = info.shape[0]
      step = max(1, BandSize.matched / (info.byteCount / rows))
    }
    let rowBytes = info.byteCount / rows
    return stride(from: 0, to: rows, by: step).map { start in
      let range = start..<min(start + step, rows)
      return Band(
        shard: shard, offset: offset + start * rowBytes, range: range,
        byteCount: range.count * rowBytes, recipe: recipe)
    }
  }

  /// Rows of a band: whole words, a cache full where the layer is read the way it lies, and long
  /// runs where it is turned.
  private static func step(_ part: EncodedPart, rowBytes: Int, _ layer: any PackedLayer) -> Int {
    let isTurned = part.order.map { $0 != layer.order } ?? false
    let codesPerByte = part.order == nil ? 1 : 8 / min(8, layer.form.grid.bits)
    let bytes = (isTurned ? BandSize.turned : BandSize.matched) / codesPerByte
    let wanted = bytes / max(rowBytes, 1) / part.alignment * part.alignment
    return max(wanted, part.alignment)
  }
}
