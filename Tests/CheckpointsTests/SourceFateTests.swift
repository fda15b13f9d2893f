import Checkpoints
import Codecs
import TestKit
import Testing

/// Every tensor of a source is copied, converted or dropped for a reason, and nothing comes from nowhere.
@Suite struct SourceFateTests {
  private func expectWhole(_ path: String, _ options: ConversionOptions) throws {
    try Self.expectWhole(ConversionPlan(Checkpoint(opening: path), options))
  }

  static func expectWhole(_ plan: ConversionPlan) {
    #expect(plan.fates.map(\.name) == plan.source.tensors.tensors.map(\.name))
    var reached: Set<String> = []
    for fate in plan.fates {
      switch fate.fate {
      case .copied:
        #expect(fate.file != nil, "\(fate.name)")
        #expect(reached.insert(fate.name).inserted)
      case .converted(let names):
        #expect(!names.isEmpty, "\(fate.name)")
        reached.formUnion(names)
      case .dropped(let reason): #expect(!reason.isEmpty, "\(fate.name)")
      }
    }
    #expect(
      reached == Set(plan.outputs.map(\.info.name)),
      "\(plan.source.path) to \(plan.options.target.name)")
  }

  @Test(arguments: ["gptq", "gptq_v2", "compressed-tensors", "dense"])
  func everyTensorIsAccountedFor(target: String) throws {
    for path in [Samples.demo, Samples.sharded, Samples.permuted, Samples.awq] {
      try expectWhole(path, ConversionOptions(target: target))
    }
  }

  @Test(arguments: ["awq", "awq_gemv", "awq_gemv_fast", "mlx"])
  func soAreThoseOfLayersInOrder(target: String) throws {
    for path in [Samples.demo, Samples.sharded] {
      try expectWhole(path, ConversionOptions(target: target))
    }
  }

  @Test func anOrderThatGoesWithoutSayingIsDropped() throws {
    let plan = try ConversionPlan(
      Checkpoint(opening: Samples.demo), ConversionOptions(target: "awq"))
    let orders = plan.fates.filter { $0.name.hasSuffix(".g_idx") }
    #expect(!orders.isEmpty)
    for order in orders {
      #expect(order.fate == .dropped(reason: "groups lie in order, which the layout implies"))
    }
  }

  @Test(arguments: ["bnb-nf4", "bnb-int8"])
  func soAreThoseOfADenseModel(method: String) throws {
    var options = try ConversionOptions(target: "dense")
    options.target = .quantized(try Quantization(method: method))
    try expectWhole(Fixtures.path("quantizers/dense"), options)
  }

  @Test func soAreThoseThatStayOrGrow() throws {
    var options = try ConversionOptions(target: "awq")
    options.padForRanks = 8
    try expectWhole(Samples.demo, options)
    options.target = .asIs
    options.padForRanks = nil
    try expectWhole(Samples.sharded, options)
  }
}
