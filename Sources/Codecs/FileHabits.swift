/// What the loaders of a layout expect of the files around the tensors.
public struct FileHabits: Sendable {
  /// `format` in the metadata of safetensors files.
  public var metadataFormat = "pt"
  /// The keys of `config.json` that hold the quantization config.
  public var configKeys = ["quantization_config"]
  /// Whether `quantize_config.json` is written too.
  public var hasOwnConfigFile = true
  /// Whether loaders pack every module that the config does not leave out; if not, the tensors
  /// alone tell packed modules from dense ones.
  public var listsPackedModules = true
  /// Whether a group size of -1 stands for whole rows.
  public var spellsWholeRows = true

  public init() {}
}
