import ArgumentParser
import Checkpoints

struct MakeManifest: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "manifest",
    abstract: "Write down what a checkpoint consists of: a SHA-256 for every tensor and file.",
    discussion: """
      The text is the same whenever and wherever it is made. Beside the tensors, under the name \
      \(Manifest.fileName), nibble verify checks it.
      """)

  @Argument(help: "A checkpoint folder, a .safetensors file, an index or a container.")
  var path: String

  @Option(name: .shortAndLong, help: "The file to write; by default it is printed.")
  var output: String?

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  func validate() throws {
    guard threads > 0 else { throw ValidationError("--threads takes a positive number") }
  }

  func run() throws {
    try checkOutput()
    let manifest = try Manifest(of: path, ShardedTensors(opening: path), threads: threads)
    guard let output else {
      return Terminal.print(String(decoding: manifest.bytes.dropLast(), as: UTF8.self))
    }
    let file = try OutputFile(path: output)
    try file.write(manifest.bytes, at: 0)
    try file.commit(byteCount: manifest.bytes.count, sync: true)
  }

  /// Only an older manifest is replaced.
  private func checkOutput() throws {
    guard let output, FileSystem.kind(of: output) != nil else { return }
    guard FileSystem.kind(of: output) == .file, (try? Manifest(path: output)) != nil else {
      throw Failure(.usage, at: output, "the output exists already and is no manifest")
    }
  }
}
