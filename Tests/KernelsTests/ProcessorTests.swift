import Kernels
import Testing

@Suite("Levels of the processor")
struct ProcessorTests {
  @Test("plain is the first level, and the best is one of them")
  func levels() throws {
    #expect(Processor.levels.first?.name == "plain")
    #expect(Processor.levels.contains { $0.name == Processor.Level.best.name })
    #expect(Set(Processor.levels.map(\.name)).count == Processor.levels.count)
    #expect(Processor.cores >= 1)
    if Processor.levels.contains(where: { $0.name == "avx2" }) {
      #expect(Processor.flags.contains("avx2") && Processor.flags.contains("f16c"))
    }
  }
}
