import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

/// Every table is derived, and is the peer's to the last bit.
@Suite struct CodeTableTests {
  static let tables: [(name: String, table: [Float], sha256: String)] = [
    (
      "dynamic signed", CodeTables.dynamic(),
      "e732639a65f497b4ad684bb166a4467708255edd5207757de8b8f0c7e1fda89c"
    ),
    (
      "dynamic unsigned", CodeTables.dynamic(signed: false),
      "305f002cc11278fb769d13b25b9fd0c7c83c8402c40a878fe086f4039fde6398"
    ),
    (
      "linear signed", CodeTables.linear(),
      "80bf4c55fa736fa18f611d26a59e99475bae78388280fbccbf4c7d12437a4775"
    ),
    (
      "linear unsigned", CodeTables.linear(signed: false),
      "7cb9ea560989533d101f5082aa194366c6fd5d82a305f2994cc39312a65f7962"
    ),
    (
      "linear signed, 4 bits", CodeTables.linear(bits: 4),
      "796ada13e4d246a62e8136ba578f0599c645ed27ed8b568d72895158e24ddf6c"
    ),
    (
      "linear unsigned, 4 bits", CodeTables.linear(signed: false, bits: 4),
      "d0b9f4e8fb23a19ef70a52fd4d08c87794a78a6644e929c7d88e3af224686c73"
    ),
    (
      "e4m3", CodeTables.float(exponent: 4, mantissa: 3),
      "f3c007a4cafc83fe599bffde8d83c3b00a6c648306af949f2d0a051da02832aa"
    ),
    (
      "e5m2", CodeTables.float(exponent: 5, mantissa: 2),
      "0da7c4e2990b302a360d0664262e0bce8012809e65954885e9b573c00fd57b04"
    ),
    (
      "e3m4", CodeTables.float(exponent: 3, mantissa: 4),
      "1087860d22494f70ce5cbd3d8ced6b1022b04d4b8c9b6d930edd31ddedc36790"
    ),
    (
      "e2m5", CodeTables.float(exponent: 2, mantissa: 5),
      "eb219908101cdfc13193d920e8abd4c40998643a2468ff2a462d1a8009e38714"
    ),
    (
      "unsigned e5m3", CodeTables.float(signed: false, exponent: 5, mantissa: 3),
      "81bae5b06de8bc085ca201d482e68da722814ab745cd6ffa9e01f57927c5b30a"
    ),
    (
      "e2m1", CodeTables.float(exponent: 2, mantissa: 1),
      "d92a5fb4cd0a2592d326ccd5fea0da50c838bb7c6693c620816d5c92d4f89b81"
    ),
    ("NF4", CodeTables.nf4, "8501941daa1b8a90ad1bbfeb632e5101b5dddbc4bb52d6e55abcfd777e60c06a"),
    ("FP4", CodeTables.fp4, "b830bcf8857895e5676b8e2ce608a60bb8af9b3ce6270073e9de34814196f09c"),
  ]

  @Test(arguments: tables.map(\.name))
  func hasThePeersBits(name: String) throws {
    let known = try #require(Self.tables.first { $0.name == name })
    var hash = SHA256()
    hash.update(known.table.rawSpan)
    let digits = hash.finish().map { byte in
      (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
    #expect(digits.joined() == known.sha256)
  }

  /// The first digits of the hashes that `formats.md` states for the padded tables.
  @Test func normalFloatIsFilledUp() throws {
    let table = CodeTables.normal()
    #expect(table.count == 256 && table.count { $0 == 0 } == 241)
    #expect(table.filter { $0 != 0 } == CodeTables.nf4.filter { $0 != 0 })
    let symmetric = CodeTables.normal(extraValue: false).filter { $0 != 0 }
    #expect(symmetric.count == 14)
    #expect(zip(symmetric, symmetric.reversed()).allSatisfy { $0 == -$1 })
  }

  @Test func theListedNumbersOfNF4AreTheDerivedOnes() {
    let grids = [(Grid.nf4, CodeTables.nf4), (Grid.fp4, CodeTables.fp4)]
    for (grid, derived) in grids {
      guard case .table(_, let listed) = grid else { continue }
      #expect(listed == derived)
    }
  }

  /// The peer lists eight decimals; half of the last one, and the rounding to float32.
  @Test func theListedNumbersOfAF4AreTheDerivedOnes() {
    let listed = [
      -1, -0.69441008, -0.51243739, -0.3736951, -0.25607552, -0.14982478, -0.04934812, 0,
      0.04273164, 0.12934483, 0.21961274, 0.31675666, 0.42563882, 0.55496234, 0.72424863, 1,
    ]
    let derived = CodeTables.abnormal()
    #expect(derived.count == 16)
    for (number, known) in zip(derived, listed) {
      #expect(abs(Double(number) - known) <= 5e-9 + Double(number.ulp) / 2, "\(known)")
    }
  }

  @Test("larger blocks have larger maxima, and smaller numbers", arguments: [32, 4096])
  func abnormalFloatOfOtherBlocks(size: Int) {
    let table = CodeTables.abnormal(blockSize: size)
    let usual = CodeTables.abnormal()
    #expect(table == table.sorted() && Set(table).count == 16)
    #expect(table.first == -1 && table[7] == 0 && table.last == 1)
    for index in [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14] {
      #expect((table[index].magnitude < usual[index].magnitude) == (size > 64))
    }
  }
}
