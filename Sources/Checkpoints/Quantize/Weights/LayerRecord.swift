public import Quantizers
public import TensorCore

/// What quantizing one layer has shown: a line of the log.
public struct LayerRecord: Sendable, Equatable {
  public let name: String
  public let bits: Int
  public let groupSize: Int
  /// The method that made the codes: RTN where a layer fell back to it.
  public let method: String
  public var report: QuantizationReport
  /// What else its user should know.
  public var note: String?

  init(
    _ module: QuantizedModules.Module, method: String, report: QuantizationReport,
    note: String? = nil
  ) {
    name = module.name
    bits = module.settings.bits
    groupSize = module.settings.groupSize
    (self.method, self.report, self.note) = (method, report, note)
  }

  public var json: JSONObject {
    JSONObject([
      "layer": .string(name), "method": .string(method), "bits": .integer(bits),
      "group_size": .integer(groupSize),
      "loss": Self.real(report.loss), "weight_error": .real(report.weightError),
      "output_error": Self.real(report.outputError), "damp": Self.real(report.damp),
      "diagonal_floor": Self.real(report.diagonalFloor),
      "dead_inputs": .integer(report.deadColumns),
      "tokens": report.tokens.map { .integer($0) } ?? .null,
      "fallback": report.fallback.map(JSON.string) ?? .null,
      "note": note.map(JSON.string) ?? .null, "seconds": .real(report.seconds),
    ])
  }

  /// A record as it was written; nil where that is none.
  init?(_ json: JSON) {
    guard let name = json["layer"]?.string, let method = json["method"]?.string,
      let bits = json["bits"]?.int, let groupSize = json["group_size"]?.int
    else { return nil }
    (self.name, self.method, self.bits, self.groupSize) = (name, method, bits, groupSize)
    report = QuantizationReport(weightError: json["weight_error"]?.double ?? 0)
    report.loss = json["loss"]?.double
    report.outputError = json["output_error"]?.double
    report.damp = json["damp"]?.double
    report.diagonalFloor = json["diagonal_floor"]?.double
    report.deadColumns = json["dead_inputs"]?.int ?? 0
    report.tokens = json["tokens"]?.int
    report.fallback = json["fallback"]?.string
    report.seconds = json["seconds"]?.double ?? 0
    note = json["note"]?.string
  }

  private static func real(_ value: Double?) -> JSON { value.map(JSON.real) ?? .null }
}
