import Codecs
import TensorCore
import TestKit
import Testing

/// Every layout is specified: the rule it cites for configs stands on a page of `Formats/`.
@Suite struct PagesTests {
  @Test func everyLayoutHasAPage() throws {
    let folder = Fixtures.package + "/Formats"
    let names = try FileSystem.names(in: folder).filter { $0.hasSuffix(".md") }
    let pages = try names.map { name in
      let bytes = try FileSystem.contents(of: "\(folder)/\(name)", limit: 1 << 20)
      return String(decoding: bytes, as: UTF8.self)
    }
    for codec in Codecs.all {
      let rules = codec.configRule
      #expect(pages.contains { $0.contains("| \(rules) |") }, "\(codec.name): \(rules)")
    }
  }
}
