import TensorCore
import Testing

@testable import Models

struct ArchitectureTests {
  @Test func anUnknownArchitectureIsNamedBesideTheKnownOnes() {
    let failure = Failure.unknownArchitecture("X", at: "config.json", known: ["B", "A"])
    #expect(failure.description.contains("expected A, B, found X"))
  }
}
