internal import TensorCore

extension ShardedTensors {
  /// The tensors of `base`, some under other names.
  public convenience init(_ base: ShardedTensors, renaming names: [String: String]) {
    let tensors = base.tensors.map { tensor in
      guard let name = names[tensor.name],
        let info = TensorInfo(name: name, dtype: tensor.dtype, shape: tensor.shape)
      else { return tensor }
      return Tensor(info: info, source: tensor.source, offset: tensor.offset)
    }
    self.init(
      like: base, files: base.files, tensors: tensors.sorted { $0.name.precedesBytewise($1.name) })
  }

  /// The tensors of `base` with others in the place of those in `replaced`, or beside them; what lies
  /// beside the tensors is that of `base`. A name that stands in both is taken from `others`.
  public convenience init(
    _ base: ShardedTensors, replacing replaced: Set<String>, with others: [File]
  ) {
    let added = ShardCensus(files: others).tensors(preferring: nil)
    let names = replaced.union(added.map(\.name))
    let kept = base.tensors.filter { !names.contains($0.name) }
    self.init(
      like: base, files: base.files + others,
      tensors: (kept + added).sorted { $0.name.precedesBytewise($1.name) })
  }

  /// Opens one safetensors file to be laid over others.
  public static func file(at path: String) throws -> File {
    let source = try InputFile(path: path)
    return File(
      name: path.fileName, source: source, header: try SafetensorsHeader(reading: source))
  }
}
