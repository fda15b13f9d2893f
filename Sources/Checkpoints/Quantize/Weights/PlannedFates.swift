internal import Codecs
internal import Containers
internal import Kernels
internal import Models
internal import TensorCore

/// What will become of the tensors of a dense source, known before anything is computed.
struct PlannedFates {
  private let source: Checkpoint
  /// Tensors that scales may be folded into, each written in its own place with other numbers.
  private let folded: Set<String>

  /// `blueprint` is that of a model that AWQ folds scales in; nil: none are folded.
  init(_ source: Checkpoint, _ modules: QuantizedModules, folding blueprint: Blueprint?) {
    self.source = source
    guard let blueprint else {
      folded = []
      return
    }
    let numbers = Set(modules.modules.compactMap(\.block))
    folded = Set(
      blueprint.blocks.enumerated().filter { numbers.contains($0.offset) }
        .flatMap { $0.element.foldSites.flatMap(\.tensors) }
    ).intersection(source.tensors.tensors.map(\.name))
  }

  /// One entry for each tensor of the source, in its order. `made` are the packed tensors by the weight they
  /// stand for.
  func fates(_ made: [String: [TensorInfo]], _ options: ConversionOptions) throws -> [SourceFate] {
    let carried = source.tensors.tensors.filter { made[$0.name] == nil }.map(\.info)
    let written = (carried + made.values.joined()).sorted {
      $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
    }
    let shards = try ShardLayout(
      tensors: written, metadata: [:], maxShardBytes: options.maxShardBytes)
    var files: [String: String] = [:]
    for shard in shards.shards {
      for place in shard.layout.placements { files[place.info.name] = shard.name }
    }
    return source.tensors.tensors.map { tensor in
      let name = tensor.name
      if let parts = made[name] {
        return SourceFate(
          name: name, file: nil, fate: .converted(into: Set(parts.map(\.name)).inOrder))
      }
      return folded.contains(name)
        ? SourceFate(name: name, file: nil, fate: .converted(into: [name]))
        : SourceFate(name: name, file: files[name], fate: .copied)
    }
  }
}

extension FoldSite {
  /// Every tensor that a fold changes, those of the source and columns of its readers.
  fileprivate var tensors: [String] {
    let own: [String] =
      switch source {
      case .norm(let name, _), .linear(let name, _): [name + ".weight", name + ".bias"]
      }
    return own + linears.map { $0 + ".weight" }
  }
}
