import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Products of int8 matrices")
struct Int8ProductTests {
  /// Around the tiles of every level and the blocks of depth, rows and columns.
  static let shapes: [(rows: Int, columns: Int, depth: Int)] = {
    let rows = [1, 2, 3, 4, 5, 6, 7, 12, 13, 25]
    let columns = [1, 7, 8, 9, 15, 16, 17, 31, 33]
    let depths = [0, 1, 2, 3, 4, 5, 15, 16, 17, 31, 33, 65]
    let small = rows.flatMap { row in
      columns.flatMap { column in depths.map { (row, column, $0) } }
    }
    return small.filter { ($0.0 + $0.1 + $0.2) % 3 == 0 } + [
      (145, 193, 20), (150, 17, 513), (7, 33, 1030), (2, 5, 600), (0, 3, 4), (3, 0, 4),
      (577, 3, 9),
    ]
  }()

  private static func product(_ a: [UInt8], _ b: [UInt8], rows: Int, columns: Int, depth: Int)
    -> [Int32]
  {
    (0..<rows * columns).map { index in
      let (row, column) = (index / columns, index % columns)
      return (0..<depth).reduce(Int32(0)) { sum, k in
        sum + Int32(Int8(bitPattern: a[row * depth + k]))
          * Int32(Int8(bitPattern: b[column * depth + k]))
      }
    }
  }

  @Test("every shape and fill is exact", arguments: Processor.levels.map(\.name))
  func shapes(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x18)
    for (number, shape) in Self.shapes.enumerated() {
      let fill = Fill.allCases[number % 4]
      let a = fill.bytes(shape.rows * shape.depth, from: &random)
      let b = random.bytes(shape.columns * shape.depth)
      let found = fenced(a, count: shape.rows * shape.columns * 4) { a, sums in
        Int8Product.multiply(
          a, rows: shape.rows, b.rawSpan, columns: shape.columns, depth: shape.depth, into: &sums,
          threads: 2, on: level)
      }
      let expected = Self.product(
        a, b, rows: shape.rows, columns: shape.columns, depth: shape.depth)
      #expect(found.map(words) == expected, "\(shape), \(fill), \(random)")
    }
  }

  @Test("the extremes neither saturate nor wrap", arguments: Processor.levels.map(\.name))
  func extremes(level: String) throws {
    let level = try Processor.level(named: level)
    for depth in [Int8Product.maxDepth, 4096] {
      for (x, y) in [(UInt8(0x80), UInt8(0x80)), (0x80, 0x7F), (0x7F, 0x80), (0x7F, 0x7F)] {
        for rows in [2, 6] {
          let a = [UInt8](repeating: x, count: rows * depth)
          let b = [UInt8](repeating: y, count: depth)
          let found = fenced(a, count: rows * 4) { a, sums in
            Int8Product.multiply(
              a, rows: rows, b.rawSpan, columns: 1, depth: depth, into: &sums, on: level)
          }
          let product = Int32(Int8(bitPattern: x)) * Int32(Int8(bitPattern: y)) * Int32(depth)
          #expect(found.map(words) == [Int32](repeating: product, count: rows))
        }
      }
    }
  }

  @Test("OpenBLAS gives the same numbers where f32 holds them")
  func besideBLAS() {
    var random = SplitMix64(seed: 0x19)
    let (rows, columns, depth) = (9, 11, 40)
    let a = random.bytes(rows * depth)
    let b = random.bytes(columns * depth)
    let floats = { (bytes: [UInt8]) in bytes.map { Float(Int8(bitPattern: $0)) } }
    let bytes = fenced(bytes(of: floats(a)), count: rows * columns * 4) { a, c in
      BLAS.multiplyTransposed(
        a, rows: rows, floats(b).rawSpan, columns: columns, depth: depth, into: &c)
    }
    let expected = Self.product(a, b, rows: rows, columns: columns, depth: depth)
    #expect(bytes.map(TestKit.floats(of:)) == expected.map(Float.init))
  }

  private func words(_ bytes: [UInt8]) -> [Int32] {
    (0..<bytes.count / 4).map { Int32(bitPattern: bytes.rawSpan.uint32(at: $0)) }
  }
}
