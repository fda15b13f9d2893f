import Checkpoints

/// Models that verbs run.
enum ModelRun {
  /// Opens a model on the device and with the activations that were asked for; tells its warnings.
  static func open(_ path: String, _ arguments: ModelArguments) throws -> CausalModel {
    let compute: any Compute =
      arguments.reference ? ReferenceCompute() : CPUCompute(threads: arguments.threads)
    let model = try Checkpoint(opening: path).model(
      on: compute, activations: arguments.activations)
    for warning in model.warnings { Terminal.complain("warning: \(warning)") }
    return model
  }

  /// Where the tokenizer and the configs of a model lie: the folder itself, or that of a file.
  static func folder(_ model: String) -> String {
    FileSystem.kind(of: model) == .file ? model.folderName : model
  }
}
