import ArgumentParser
import Checkpoints

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what this machine offers and what nibble uses of it.")

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let facts: [(String, String)] = [
      ("nibble", Release.version),
      ("processor", Processor.flags.joined(separator: " ")),
      (
        "kernels",
        "\(Processor.Level.best) (of \(Processor.levels.map(\.name).joined(separator: ", ")))"
      ),
      ("threads", String(Processor.cores)),
      ("json-c", Release.jsonLibrary),
      ("zstd", Zstd.version),
      ("BLAS", "OpenBLAS, kernels for \(BLAS.core)"),
      ("device", "no GPU is used by this version"),
      ("layouts", Codecs.all.map(\.name).joined(separator: ", ")),
    ]
    guard json else {
      var table = Table([.left, .left])
      for (name, value) in facts { table.add(name, value) }
      return Terminal.print(table.text())
    }
    var object = JSONObject()
    for (name, value) in facts { object[name] = .string(value) }
    Terminal.print(JSON.object(object).text(indent: 2))
  }
}
