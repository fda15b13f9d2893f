import Kernels
import TensorCore

/// Modules stored in a format that is known by its tell-tale tensors and not decoded
/// (`Formats/recognised.md`).
public struct Recognition: Sendable, Equatable {
  /// The format's own name.
  public let format: String
  public let rule: String
  /// Sorted.
  public let modules: [String]
  /// What the shapes of the first module say; nil where they say nothing.
  public let facts: String?

  /// What `table` holds beside the modules that codecs have claimed. Reads names, types and shapes.
  public static func all(in table: TensorTable, claimed: Set<String>) -> [Recognition] {
    ForeignFormat.all.compactMap { format in
      let modules = format.modules(in: table).filter {
        format.changesPlainLayers || !claimed.contains($0)
      }
      guard let first = modules.first else { return nil }
      return Recognition(
        format: format.name, rule: format.rule, modules: modules,
        facts: format.facts(first, table))
    }
  }

  /// The finding that `inspect` shows, and that `convert` refuses with.
  public var finding: Finding {
    let failure = Failure(
      .unsupported, at: modules[0], "\(format) is recognised and not decoded by this version",
      found: "\(modules.count) modules" + (facts.map { ", \($0)" } ?? ""), rule: rule,
      remedy: "reshard carries the tensors as they are")
    return Finding(.warning, failure, names: modules)
  }
}

/// The tell-tale tensors of one format.
struct ForeignFormat: Sendable {
  let rule: String
  let name: String
  /// Parts a module must all have, with the types that tell; none where any will do.
  let parts: [(name: String, types: [DType])]
  /// Parts a module must not have.
  var absent: [String] = []
  /// Whether it has the parts of a plain layer too, whose numbers alone are not the weights.
  var changesPlainLayers = false
  var facts: @Sendable (_ module: String, _ table: TensorTable) -> String? = { _, _ in nil }

  func modules(in table: TensorTable) -> [String] {
    table.modules(with: parts[0].name).filter { module in
      parts.allSatisfy { part in
        guard let tensor = table["\(module).\(part.name)"] else { return false }
        return part.types.isEmpty || part.types.contains(tensor.dtype)
      } && !absent.contains { table.contains("\(module).\($0)") }
    }
  }
}

extension ForeignFormat {
  static let all: [ForeignFormat] = bitsandbytes + searched + plain

  private static let bitsandbytes = [
    ForeignFormat(
      rule: "REC-1", name: "bitsandbytes as GPTQModel writes it", parts: [("weight_absmax", [])])
  ]

  /// Formats whose weights are sums of table entries, or were rotated.
  private static let searched = [
    ForeignFormat(rule: "REC-3", name: "EXL3", parts: [("trellis", [.i16])]) { module, table in
      guard let shape = table["\(module).trellis"]?.shape, shape.rank == 3, shape[2] % 16 == 0
      else { return nil }
      return "\(shape[2] / 16) bits, trellis coded"
    },
    ForeignFormat(
      rule: "REC-4", name: "EXL2", parts: [("q_weight", [.i32]), ("q_groups", [.i16])]
    ) { module, table in
      table["\(module).q_groups"].map { "\($0.shape.count / 2) groups, each of its own width" }
    },
    ForeignFormat(
      rule: "REC-5", name: "AQLM", parts: [("codes", []), ("codebooks", [])]
    ) { module, table in
      guard let shape = table["\(module).codebooks"]?.shape, shape.rank == 4 else { return nil }
      return "\(shape[0]) codebooks of \(shape[1]) entries for \(shape[2]) × \(shape[3]) weights"
    },
    ForeignFormat(
      rule: "REC-6", name: "VPTQ", parts: [("indices", []), ("centroids.weight", [])]),
    ForeignFormat(
      rule: "REC-7", name: "ParoQuant", parts: [("theta", []), ("pairs", [.i16])],
      changesPlainLayers: true
    ) { module, table in
      table["\(module).theta"]?.shape.matrix.map { "inputs rotated \($0.rows) times" }
    },
    ForeignFormat(rule: "REC-8", name: "HIGGS", parts: [("tables", []), ("tables2", [])]),
    ForeignFormat(rule: "REC-9", name: "FP-Quant", parts: [("dqweight", []), ("scales", [])]),
  ]

  /// Formats of plain codes that are packed in ways of their own.
  private static let plain = [
    ForeignFormat(
      rule: "REC-10", name: "Marlin", parts: [("B", [.i32]), ("s", [])]
    ) { module, table in
      guard let codes = table["\(module).B"]?.shape.matrix,
        let groups = table["\(module).s"]?.shape.matrix?.rows, groups > 0,
        let inputs = codes.rows.multiplied(by: 16)
      else { return nil }
      return "4 bits, symmetric, groups of \(inputs / groups)"
    },
    ForeignFormat(
      rule: "REC-11", name: "QQQ", parts: [("B", [.i32]), ("s_channel", [])]
    ) { _, _ in "4 bits in Marlin tiles" },
    ForeignFormat(
      rule: "REC-12", name: "BitBLAS", parts: [("qweight", [.i8]), ("scales", [])]
    ) { _, _ in "order of a kernel" },
    ForeignFormat(
      rule: "REC-13", name: "GGUF blocks in safetensors", parts: [("qweight", [.u8])],
      absent: ["scales"]),
    ForeignFormat(
      rule: "REC-14", name: "torchao", parts: [("_weight_qdata", [])]
    ) { module, table in
      table["\(module)._weight_qdata"].map { "codes \($0.dtype) \($0.shape)" }
    },
    ForeignFormat(
      rule: "REC-15", name: "optimum-quanto", parts: [("weight._scale", []), ("weight._data", [])]
    ) { _, _ in "8 bits" },
    ForeignFormat(
      rule: "REC-15", name: "optimum-quanto",
      parts: [("weight._scale", []), ("weight._data._data", [])]
    ) { _, _ in "2 or 4 bits" },
    ForeignFormat(
      rule: "REC-16", name: "BitNet",
      parts: [("weight_scale", [.f16, .bf16, .f32]), ("weight", [.u8])],
      absent: ["weight_scale_2", "weight_packed"]
    ) { _, _ in "codes −1, 0 and 1 in two bits" },
    ForeignFormat(
      rule: "REC-17", name: "EETQ", parts: [("weight_scales", []), ("weight", [.i8])]
    ) { _, _ in "8 bits, a scale for each output" },
    ForeignFormat(
      rule: "REC-18", name: "sparse compressed-tensors",
      parts: [("bitmask", []), ("compressed", [])]),
    ForeignFormat(
      rule: "REC-19", name: "Marlin 2:4 of compressed-tensors",
      parts: [("scale_packed", []), ("weight_packed", []), ("meta", [])]),
    ForeignFormat(
      rule: "REC-20", name: "Metal of transformers", parts: [("qbiases", []), ("scales", [])]),
  ]
}
