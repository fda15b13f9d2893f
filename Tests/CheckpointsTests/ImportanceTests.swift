import Checkpoints
import Codecs
import Containers
import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

/// Importance matrices of llama.cpp as statistics: both forms say the same, layers get what is theirs, and what is
/// broken is refused.
@Suite struct ImportanceTests {
  private let folder: TemporaryFolder
  private static let dense = Fixtures.path("quantizers/dense")

  init() throws {
    folder = try TemporaryFolder()
  }

  private func plan(
    _ file: String, method: String = "rtn", source: String = dense,
    _ change: (inout WeightQuantization) -> Void = { _ in }
  ) throws -> WeightPlan {
    var quantization = try WeightQuantization(method: method)
    (quantization.groupSize, quantization.weightsRanges, quantization.bits) = (32, true, 3)
    change(&quantization)
    var options = ConversionOptions(target: .asIs)
    (options.sync, options.threads) = (false, 2)
    return try WeightPlan(
      Checkpoint(opening: source), quantization, options, statistics: LayerStatistics(path: file))
  }

  private static func valid(_ form: String) -> String {
    Fixtures.path("imatrix/valid/dense.\(form)")
  }

  /// What the fixture's maker gives each input.
  private static func means(_ name: String) -> [Float] {
    (0..<64).map { Float((name.utf8.count * 7 + $0 * 13) % 61 + 1) / 64 }
  }

  @Test func bothFormsWeighRanges() throws {
    let new = try plan(Self.valid("gguf"))
    #expect(new.layersWithoutStatistics == ["model.layers.0.mlp.down_proj"])
    #expect(new.statistics?.unusedEntries == ["blk.1.attn_q.weight", "output.weight"])
    let report = try new.run(to: folder.path("new"))
    #expect(report.fallbacks.map(\.name) == ["model.layers.0.mlp.down_proj"])
    #expect(report.layers.filter { $0.report.tokens == 256 }.count == 6)
    let old = try plan(Self.valid("dat")).run(to: folder.path("old"))
    #expect(old.fallbacks.map(\.name) == report.fallbacks.map(\.name))
    let (one, other) = (
      try Checkpoint(opening: folder.path("new")), try Checkpoint(opening: folder.path("old"))
    )
    #expect(try CheckpointComparison(one, other).isEqual)
    // The codes are those of weighing by the numbers of the file.
    let tensors = try Checkpoint(opening: Self.dense).tensors
    for (module, name) in [("self_attn.o_proj", "attn_output"), ("mlp.up_proj", "ffn_up")] {
      let layer = "model.layers.0.\(module)"
      let tensor = try #require(tensors[layer + ".weight"])
      let block = try tensor.contents()
      let values = (0..<tensor.shape.count).map {
        Float(Float16(bitPattern: block.bytes.uint16(at: $0)))
      }
      let weight = Matrix(rows: tensor.shape[0], columns: tensor.shape[1], values: values)
      let grid = UniformGrid(.bits(3), groupSize: 32, search: RangeSearch(isWeighted: true))
      let made = try RTN(grid).quantize(
        weight, importance: Self.means("blk.0.\(name).weight"), name: layer)
      let read = try one.open(#require(one.layer(named: layer)))
      #expect(try QuantizedMatrix(read).dequantized() == made.matrix.dequantized())
    }
  }

  /// Rounding takes moments of inputs in safetensors as well, of which only the diagonal counts.
  @Test func momentsWeighRangesToo() throws {
    let module = "model.layers.0.self_attn.o_proj"
    let means = Self.means("blk.0.attn_output.weight")
    var model = Model()
    let values = (0..<64 * 64).flatMap { place -> [UInt8] in
      let value = place / 64 == place % 64 ? means[place / 64] * 2 : 0
      return (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
    }
    model.add(module + ".hessian", .f32, [64, 64], values)
    try model.write(to: folder.path("given"))
    _ = try plan(folder.path("given/model.safetensors")).run(to: folder.path("moments"))
    _ = try plan(Self.valid("gguf")).run(to: folder.path("importance"))
    let layers = try ["moments", "importance"].map { name in
      let made = try Checkpoint(opening: folder.path(name))
      return try QuantizedMatrix(made.open(#require(made.layer(named: module)))).dequantized()
    }
    #expect(layers[0] == layers[1])
  }

  /// An entry of the older form.
  private static func entry(_ name: String, divisor: Int32, _ sums: [Float]) -> [UInt8] {
    var bytes: [UInt8] = []
    func add(_ number: UInt32) {
      bytes += (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }
    add(UInt32(name.utf8.count))
    bytes += name.utf8
    add(UInt32(bitPattern: divisor))
    add(UInt32(sums.count))
    for sum in sums { add(sum.bitPattern) }
    return bytes
  }

  /// Experts share an entry, and each has a matrix in it; or in older files an entry of its own.
  @Test func expertsHaveMatricesOfTheirOwn() throws {
    let source = Fixtures.path("models/mixtral")
    let tensors = try Checkpoint(opening: source).tensors
    let name = "model.layers.0.block_sparse_moe.experts.1.w1"
    let tensor = try #require(tensors[name + ".weight"])
    let (rows, columns) = (tensor.shape[0], tensor.shape[1])
    let experts = tensors.tensors.count {
      $0.name.hasPrefix("model.layers.0.block_sparse_moe.experts.")
        && $0.name.hasSuffix(".w1.weight")
    }
    let sums = (0..<experts * columns).map { Float(($0 * 29) % 53 + 1) / 8 }
    let joined = try folder.write(
      [1, 0, 0, 0] + Self.entry("blk.0.ffn_gate_exps.weight", divisor: 4, sums), to: "joined.dat")
    let own = try folder.write(
      [1, 0, 0, 0]
        + Self.entry(
          "blk.0.ffn_gate.1.weight", divisor: 4, Array(sums[columns..<2 * columns])), to: "own.dat")
    let plans = try [joined, own].map { file in
      try plan(file, source: source) { asked in
        asked.bits = 4
        asked.formats = [CompressedTensors()]
      }
    }
    #expect(plans.map { $0.layerCount - $0.layersWithoutStatistics.count } == [experts, 1])
    let block = try tensor.contents()
    let weight = Matrix(
      rows: rows, columns: columns,
      values: (0..<tensor.shape.count).map { block.bytes.float32(at: $0) })
    let made = try RTN(UniformGrid(.bits(4), groupSize: 32, search: RangeSearch(isWeighted: true)))
      .quantize(weight, importance: sums[columns..<2 * columns].map { $0 / 4 }, name: name)
    for (index, plan) in plans.enumerated() {
      _ = try plan.run(to: folder.path("experts-\(index)"))
      let output = try Checkpoint(opening: folder.path("experts-\(index)"))
      let read = try output.open(#require(output.layer(named: name)))
      #expect(try QuantizedMatrix(read).dequantized() == made.matrix.dequantized())
    }
    let wide = try folder.write(
      [1, 0, 0, 0]
        + Self.entry("blk.0.ffn_gate_exps.weight", divisor: 4, Array(sums.prefix(columns))),
      to: "wide.dat")
    let failure = #expect(throws: Failure.self) {
      try plan(wide, source: source) { $0.formats = [CompressedTensors()] }
    }
    #expect(failure?.rule == "IM-4")
  }

  @Test func otherMethodsRefuse() throws {
    let wrong: [(method: String, change: (inout WeightQuantization) -> Void, word: String)] = [
      ("gptq", { $0.weightsRanges = false }, "gptq needs all"),
      ("gptq", { _ in }, "gptq needs all"),
      ("awq", { $0.weightsRanges = false }, "awq run the model"),
      ("rtn", { $0.weightsRanges = false }, "weighted ranges only"),
    ]
    for (method, change, word) in wrong {
      let failure = #expect(throws: Failure.self) {
        try plan(Self.valid("gguf"), method: method) {
          $0.bits = 4
          change(&$0)
        }
      }
      #expect(failure?.kind == .usage && failure?.what.contains(word) == true)
    }
    let failure = #expect(throws: Failure.self) {
      try plan(Self.valid("dat")) { $0.strict = true }
    }
    #expect(failure?.rule == "LS-3")
    #expect(failure?.reasons.map(\.names) == [["model.layers.0.mlp.down_proj"]])
  }

  @Test func brokenFilesAreRefusedByTheirRule() throws {
    let paths = try Fixtures.paths(in: "imatrix/invalid")
    #expect(paths.count > 20)
    for path in paths {
      let failure = #expect(throws: Failure.self, "\(path)") { try plan(path) }
      #expect(failure?.kind == .malformed, "\(path)")
      #expect(failure?.rule == Fixtures.rule(of: path), "\(path): \(String(describing: failure))")
    }
  }

  /// Any cut and any changed byte gives a plan or a refusal.
  @Test(arguments: ["dat", "gguf"]) func damageNeverTraps(_ form: String) throws {
    let file = try InputFile(path: Self.valid(form))
    let whole = try file.contents(0..<file.size)
    var random = SplitMix64(seed: 9)
    for turn in 0..<200 {
      var bytes = whole
      if turn % 2 == 0 {
        bytes = Array(bytes.prefix(Int.random(in: 0..<bytes.count, using: &random)))
      } else {
        bytes[Int.random(in: 0..<700, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      let path = try folder.write(bytes, to: "damaged-\(turn)")
      do { _ = try LayerStatistics(path: path) } catch is Failure {}
    }
  }
}
