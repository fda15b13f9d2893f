import Codecs
import Containers
import Kernels
import Synchronization
import TensorCore

/// Writes the tensors of plans: bands of every output on all threads, each at its final place.
///
/// Several plans of one source are written side by side, so that what one reads is still in memory
/// for the next. Memory: one band and what it is made from for each thread. A file is flushed and
/// named as soon as its last band is written; the index comes after all of them.
struct Pour {
  /// A plan and where it goes.
  struct Job {
    let plan: ConversionPlan
    let folder: OutputFolder
  }

  /// A file being written.
  private struct Target: Sendable {
    let file: OutputFile
    let byteCount: Int
    let sync: Bool

    func commit() throws {
      try file.commit(byteCount: byteCount, sync: sync)
    }
  }

  /// A run of bytes of one output tensor.
  private struct Band: Sendable {
    let target: Int
    let offset: Int
    /// Rows of the outermost axis, or bytes of a copy.
    let range: Range<Int>
    let byteCount: Int
    let recipe: ConversionPlan.Recipe
    /// How far into its tensor the band begins, from 0 to 1.
    let position: Double
    /// What is written of another tensor in the same go.
    var beside: Beside?
  }

  /// A run of bytes of a tensor that comes of making another.
  private struct Beside: Sendable {
    let place: Place
    let byteCount: Int
    let make: Companion.Make
  }

  /// Where in which file.
  private struct Place: Sendable {
    let target: Int
    let offset: Int
  }

  /// Called with bytes written so far and in all, from any thread.
  typealias Progress = @Sendable (_ done: Int, _ total: Int) -> Void

  private static let copyBytes = 16 << 20

  let jobs: [Job]
  let threads: Int
  let progress: Progress?

  /// Files that an earlier run has completed are left as they are; the proof reads them too.
  func run() throws {
    var targets: [Target] = []
    var bands: [Band] = []
    for job in jobs {
      let recipes = Dictionary(
        uniqueKeysWithValues: job.plan.outputs.map { ($0.info.name, $0.recipe) })
      var placed: [(info: TensorInfo, place: Place)] = []
      for shard in job.plan.shards.shards where !isComplete(shard, in: job.folder) {
        let file = try job.folder.makeFile(shard.name)
        try file.reserve(shard.layout.byteCount)
        try file.write(shard.layout.header, at: 0)
        placed += shard.layout.placements.map {
          ($0.info, Place(target: targets.count, offset: $0.offset))
        }
        targets.append(
          Target(
            file: file, byteCount: shard.layout.byteCount, sync: job.plan.options.sync))
      }
      bands += self.bands(of: placed, recipes)
    }
    try pour(jobs.count > 1 ? Self.bySource(bands) : bands, into: targets)
    for job in jobs {
      let shards = job.plan.shards
      guard let index = shards.index else { continue }
      try job.folder.write(index, to: shards.indexName, sync: job.plan.options.sync)
    }
  }

  private func isComplete(_ shard: ShardLayout.Shard, in folder: OutputFolder) -> Bool {
    guard folder.completed.contains(shard.name) else { return false }
    let file = try? InputFile(path: folder.staging + "/" + shard.name)
    return file?.size == shard.layout.byteCount
  }

  /// Bands made from the same layer beside each other, each from its beginning to its end.
  private static func bySource(_ bands: [Band]) -> [Band] {
    let keyed = bands.map { band -> (name: String, position: Double, band: Band) in
      switch band.recipe {
      case .copy(let tensor): (tensor.name, band.position, band)
      case .encode(_, let layer): (layer.name, band.position, band)
      case .pad(let part), .reorder(let part): (part.info.name, band.position, band)
      case .quantize(_, let weight, _): (weight.name, band.position, band)
      }
    }
    return keyed.sorted { ($0.name, $0.position) < ($1.name, $1.position) }.map(\.band)
  }

  private func pour(_ bands: [Band], into targets: [Target]) throws {
    var open = [Int](repeating: 0, count: targets.count)
    for band in bands {
      open[band.target] += 1
      if let beside = band.beside { open[beside.place.target] += 1 }
    }
    for (index, target) in targets.enumerated() where open[index] == 0 { try target.commit() }
    let left = Mutex(open)
    let done = Mutex(0)
    let total = bands.reduce(0) { $0 + $1.byteCount }
    try parallelBands(bands.count, threads: threads) { index, workspace in
      let band = bands[index]
      try write(band, to: targets, workspace)
      if targets[band.target].sync {
        targets[band.target].file.beginFlush(band.offset..<band.offset + band.byteCount)
      }
      for target in [band.target, band.beside?.place.target].compactMap(\.self) {
        let isLast = left.withLock { counts in
          counts[target] -= 1
          return counts[target] == 0
        }
        if isLast { try targets[target].commit() }
      }
      let bytes = done.withLock { sum in
        sum += band.byteCount
        return sum
      }
      progress?(bytes, total)
    }
  }

  private func write(_ band: Band, to targets: [Target], _ workspace: Workspace) throws {
    let file = targets[band.target].file
    if let beside = band.beside {
      return try workspace.lend(band.byteCount) { bytes in
        try workspace.lend(beside.byteCount) { others in
          try beside.make(band.range, &bytes, &others, workspace)
          try file.write(bytes.bytes, at: band.offset)
          try targets[beside.place.target].file.write(others.bytes, at: beside.place.offset)
        }
      }
    }
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
    case .encode(let part, _) where part.makeStrips != nil:
      let rowBytes = band.byteCount / max(band.range.count, 1)
      try part.makeStrips?(band.range, workspace) { rows, bytes in
        let start = (rows.lowerBound - band.range.lowerBound) * rowBytes
        try file.write(bytes, at: band.offset + start)
      }
    case .encode(let part, _), .pad(let part), .reorder(let part), .quantize(let part, _, _):
      try workspace.lend(band.byteCount) { bytes in
        try part.make(band.range, &bytes, workspace)
        try file.write(bytes.bytes, at: band.offset)
      }
    }
  }

  /// Tensors that come of making others have no bands of their own where both are being written.
  private func bands(
    of placed: [(info: TensorInfo, place: Place)], _ recipes: [String: ConversionPlan.Recipe]
  ) -> [Band] {
    let places = Dictionary(uniqueKeysWithValues: placed.map { ($0.info.name, $0.place) })
    var bands: [Band] = []
    var made: Set<String> = []
    for (info, place) in placed {
      guard let recipe = recipes[info.name] else { continue }
      var own = self.bands(of: info, recipe, at: place.offset, in: place.target)
      if case .quantize(_, _, let companion?) = recipe, let other = places[companion.part.info.name]
      {
        made.insert(companion.part.info.name)
        for index in own.indices { own[index].beside = Self.beside(own[index], companion, other) }
      }
      bands += own
    }
    return bands.filter { band in
      if case .quantize(let part, _, _) = band.recipe {
        !made.contains(part.info.name)
      } else {
        true
      }
    }
  }

  private static func beside(_ band: Band, _ companion: Companion, _ other: Place) -> Beside {
    let bytes = companion.bytes(band.range)
    let place = Place(target: other.target, offset: other.offset + bytes.lowerBound)
    return Beside(place: place, byteCount: bytes.count, make: companion.make)
  }

  private func bands(
    of info: TensorInfo, _ recipe: ConversionPlan.Recipe, at offset: Int, in target: Int
  ) -> [Band] {
    guard info.byteCount > 0 else { return [] }
    let rows: Int
    let step: Int
    switch recipe {
    case .copy: (rows, step) = (info.byteCount, Self.copyBytes)
    case .encode(let part, let layer):
      rows = info.shape.dimensions.first ?? 1
      step = Self.step(part, rowBytes: info.byteCount / rows, layer)
    case .pad(let part), .reorder(let part), .quantize(let part, _, _):
      rows = part.rows
      let wanted = BandSize.matched / max(1, info.byteCount / rows)
      step = max(wanted / part.alignment * part.alignment, part.alignment)
    }
    let rowBytes = info.byteCount / rows
    return stride(from: 0, to: rows, by: step).map { start in
      let range = start..<min(start + step, rows)
      return Band(
        target: target, offset: offset + start * rowBytes, range: range,
        byteCount: range.count * rowBytes, recipe: recipe,
        position: Double(start) / Double(rows))
    }
  }

  /// Rows of a band: whole words, a cache full where the layer is read the way it lies, and long
  /// runs where it is turned or gathered.
  private static func step(_ part: EncodedPart, rowBytes: Int, _ layer: any PackedLayer) -> Int {
    let isTurned = part.order.map { $0 != layer.order || layer.isScattered } ?? false
    let codesPerByte = part.order == nil ? 1 : 8 / min(8, layer.form.grid.bits)
    let isDense = part.info.dtype.isFloat
    let turned = isDense ? BandSize.turnedDense(layer) : BandSize.turned / codesPerByte
    let bytes = isTurned ? turned : BandSize.matched / codesPerByte
    let wanted = bytes / max(rowBytes, 1) / part.alignment * part.alignment
    return max(wanted, part.alignment)
  }
}
