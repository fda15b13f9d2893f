import TensorCore
import TestKit
import Testing

@testable import Tokenizers

/// What letters, numbers and blanks are, scalar by scalar, beside the peer's regular expressions.
@Suite struct ScalarClassTests {
  @Test(arguments: [#"\p{L}"#, #"\p{N}"#, #"\s"#]) func peer(name: String) throws {
    let held = try Self.held(name)
    var parser = SplitPatternParser(name, at: "test")
    guard case .run(let set, _, _, _)? = try parser.alternatives().first?.first else {
      throw Page.Broken()
    }
    let different = held.indices.dropFirst().filter { value in
      Unicode.Scalar(UInt32(value)) != nil && set.contains(UInt32(value)) != held[value]
    }
    #expect(different.isEmpty, "\(different.prefix(20).map { String($0, radix: 16) })")
  }

  /// The marks that StripAccents leaves out.
  @Test func marks() throws {
    let held = try Self.held("marks")
    let different = held.indices.dropFirst().filter { value in
      Unicode.Scalar(UInt32(value)).map { Normalizer.isMark($0) != held[value] } ?? false
    }
    #expect(different.isEmpty, "\(different.prefix(20).map { String($0, radix: 16) })")
  }

  /// For each scalar, whether the peer's class holds it.
  private static func held(_ name: String) throws -> [Bool] {
    let ranges = try Page.list(Page.json(Fixtures.path("tokenizers/classes.json"))[name])
    var held = [Bool](repeating: false, count: 0x110000)
    for range in ranges {
      let ends = try Page.ids(range)
      for value in ends[0]...ends[1] { held[Int(value)] = true }
    }
    return held
  }
}
