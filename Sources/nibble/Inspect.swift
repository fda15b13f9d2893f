import ArgumentParser
import Checkpoints

struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a checkpoint holds: files, quantization, layers, and what is wrong.")

  enum View: String, ExpressibleByArgument, CaseIterable { case summary, table, tree }
  enum Sorting: String, ExpressibleByArgument, CaseIterable { case name, size, dtype }

  @Argument(help: "A checkpoint folder, a .safetensors file, an index or a container.")
  var path: String

  @Option(help: ArgumentHelp("How tensors are shown.", valueName: "view"))
  var view: View = .summary

  @Option(help: "Show tensors whose name matches this pattern only (* and ?).")
  var filter: String?

  @Option(help: "The order of the table.")
  var sort: Sorting = .name

  @Option(help: "Decode one layer or tensor: corner, statistics, histograms.")
  var tensor: String?

  @Option(help: "Rows and columns of the corner that is shown.")
  var corner = 8

  @Option(help: "What full version 1 zero points of an unknown writer mean: word, mask or carry.")
  var assumeZeros: ZeroRule?

  @Option(help: "Read GPTQ zero points of the tensor as v1 or v2, whatever the config says.")
  var assume: GPTQ.Version?

  @Flag(help: "Read a sample of the codes too, to tell the version of asymmetric GPTQ.")
  var deep = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (1...64).contains(corner) else { throw ValidationError("--corner takes 1 to 64") }
  }

  func run() throws {
    let checkpoint = try Checkpoint(opening: path, strict: false)
    if let tensor { return try showTensor(tensor, of: checkpoint) }
    let inspection = try Inspection(checkpoint, deep ? .thorough : .glance)
    let container = checkpoint.tensors.container
    if json {
      var object = inspection.json.object ?? JSONObject()
      if let container { object["container"] = container.json }
      return Terminal.print(JSON.object(object).text(indent: 2))
    }
    let text = InspectionText(inspection)
    Terminal.print(text.header)
    let isNarrowed = view == .summary && (filter != nil || sort != .name)
    switch isNarrowed ? .table : view {
    case .summary:
      Terminal.print(text.summary)
      if let container { Terminal.print(ContainerText(container: container).summary) }
    case .table:
      let glob = filter.map(Glob.init)
      Terminal.print(
        container.map { ContainerText(container: $0).table { glob?.matches($0) ?? true } }
          ?? text.table(tensors(of: checkpoint)))
    case .tree: Terminal.print(TensorTree(tensors(of: checkpoint)).text)
    }
  }

  private func tensors(of checkpoint: Checkpoint) -> [Tensor] {
    let glob = filter.map(Glob.init)
    let chosen = checkpoint.tensors.tensors.filter { glob?.matches($0.name) ?? true }
    return switch sort {
    case .name: chosen
    case .size: chosen.sorted { ($1.byteCount, $0.name) < ($0.byteCount, $1.name) }
    case .dtype: chosen.sorted { ($0.dtype.rawValue, $0.name) < ($1.dtype.rawValue, $1.name) }
    }
  }

  private func showTensor(_ name: String, of checkpoint: Checkpoint) throws {
    let claim = checkpoint.layers.first { layer in
      layer.name == name || layer.parts.values.contains { $0.name == name }
    }
    if let claim {
      let layer = try checkpoint.open(claim, assume: assumeZeros, version: assume)
      let report = try LayerReport(layer, corner: corner)
      return Terminal.print(json ? report.json.text(indent: 2) : LayerText(report, claim).text)
    }
    guard let tensor = checkpoint.tensors[name] else {
      throw Failure(
        .usage, at: path, "no layer or tensor of that name", found: name,
        remedy: "nibble inspect \(path) --view table lists them")
    }
    let report = try TensorReport(tensor, first: corner)
    Terminal.print(json ? report.json.text(indent: 2) : TensorText(report).text)
  }
}
