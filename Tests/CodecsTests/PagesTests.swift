import Codecs
import TensorCore
import TestKit
import Testing

/// Every layout is specified: the rule it cites for configs stands on a page of `Formats/`.
@Suite struct PagesTests {
  @Test func everyLayoutHasAPage() throws {
    let folder = Fixtures.package + "/Formats"
    let pages = try FileSystem.names(in: folder).filter { $0.hasSuffix(".md") }.map {
      String(decoding: try FileSystem.contents(of: "\(folder)/\($0)", limit: 1 << 20), as: UTF8.self)
    }
    for codec in Codecs.all {
      let rules = codec.configRule
      #expect(pages.contains { $0.contains("| \(rules) |") }, "\(codec.name): \(rules)")
    }
  }
}
