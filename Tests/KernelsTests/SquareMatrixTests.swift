import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Square matrices in tiles")
struct SquareMatrixTests {
  /// Around the tiles' side, 256.
  private static let counts = [1, 2, 17, 255, 256, 257, 300]

  private func inputs(_ tokens: Int, _ columns: Int, seed: UInt64) -> [Float] {
    var random = SplitMix64(seed: seed)
    return (0..<tokens * columns).map { _ in Float.random(in: -1...1, using: &random) }
  }

  /// A positive matrix: xᵀ·x of more tokens than columns, and something on the diagonal.
  private func positive(
    _ count: Int, _ precision: SquareMatrix.Precision = .single, threads: Int = 2
  ) -> SquareMatrix {
    let matrix = SquareMatrix(count: count, precision: .single)
    let tokens = 40
    matrix.addGram(inputs(tokens, count, seed: 3).rawSpan, tokens: tokens, threads: threads)
    matrix.completeTriangle(times: 1, threads: threads)
    matrix.setDiagonal(matrix.diagonal.map { $0 + 4 })
    return matrix.converted(to: precision)
  }

  /// With `triangle` what lies below the diagonal is no part of the matrix.
  private func product(
    _ matrix: SquareMatrix, _ x: [Double], transposed: Bool = false, triangle: Bool = false
  ) -> [Double] {
    let values = matrix.values
    let n = matrix.count
    var sums = [Double](repeating: 0, count: n)
    for row in 0..<n {
      for column in (triangle ? row : 0)..<n {
        let (to, from) = transposed ? (column, row) : (row, column)
        sums[to] += Double(values[row * n + column]) * x[from]
      }
    }
    return sums
  }

  private func distance(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).map { ($0 - $1).magnitude }.max() ?? 0
  }

  @Test("R·Rᵀ is the matrix, U its inverse", arguments: counts, SquareMatrix.Precision.allCases)
  func factors(count: Int, precision: SquareMatrix.Precision) throws {
    let matrix = positive(count, precision)
    let root = positive(count, precision)
    #expect(root.factorReversed(threads: 2))
    let inverse = try #require(root.invertedTriangle(threads: 2))
    var random = SplitMix64(seed: 5)
    let x = (0..<count).map { _ in Double.random(in: -1...1, using: &random) }
    let y = product(root, product(root, x, transposed: true, triangle: true), triangle: true)
    #expect(distance(y, product(matrix, x)) < 1e-3)
    #expect(distance(product(inverse, product(root, x, triangle: true)), x) < 1e-4)
  }

  @Test("a matrix that is not positive is refused")
  func indefinite() {
    for count in [2, 300] {
      let matrix = positive(count)
      var diagonal = matrix.diagonal
      diagonal[0] = -1
      matrix.setDiagonal(diagonal)
      #expect(!matrix.factorReversed())
      diagonal[0] = .nan
      let other = positive(count)
      other.setDiagonal(diagonal)
      #expect(!other.factorReversed())
    }
  }

  @Test("threads change no bit")
  func threads() throws {
    let (one, many) = (positive(600, threads: 1), positive(600, threads: 3))
    #expect(one.withBytes { $0.array } == many.withBytes { $0.array })
    #expect(one.factorReversed(threads: 1) && many.factorReversed(threads: 3))
    #expect(one.withBytes { $0.array } == many.withBytes { $0.array })
    let first = try #require(one.invertedTriangle(threads: 1))
    let second = try #require(many.invertedTriangle(threads: 3))
    #expect(first.withBytes { $0.array } == second.withBytes { $0.array })
  }

  @Test("memory that other matrices had changes no bit")
  func store() throws {
    let (store, count) = (MatrixStore(), 300)
    let order = (0..<count).reversed().map(\.self)
    func inverse(_ store: MatrixStore?) throws -> [Double] {
      let root = positive(count).ordered(by: order, isTriangle: true, in: store)
      #expect(root.factorReversed())
      let inverse = try #require(root.invertedTriangle(in: store))
      return (0..<count).flatMap { row in (row..<count).map { inverse[row, $0] } }
    }
    let plain = try inverse(nil)
    #expect(plain.contains { $0 != 0 })
    // The second time both matrices are in memory that the first left full of numbers.
    for _ in 0..<3 { #expect(try inverse(store) == plain) }
    // Another size in between, smaller and larger.
    for size in [2, 310] { _ = positive(size).ordered(by: Array(0..<size), in: store) }
    #expect(try inverse(store) == plain)
  }

  @Test("xᵀ·x and its other triangle", arguments: [3, 257, 700, 2100])
  func gram(count: Int) {
    let tokens = 7
    let x = inputs(tokens, count, seed: 9)
    let matrix = SquareMatrix(count: count)
    matrix.addGram(x.rawSpan, tokens: tokens)
    matrix.completeTriangle(times: 0.5)
    let general = SquareMatrix(count: count)
    general.addProduct(x.rawSpan, x.rawSpan, tokens: tokens)
    for (row, column) in [(0, 0), (0, count - 1), (count - 1, 1), (count - 1, count - 1)] {
      let expected = (0..<tokens).reduce(0.0) {
        $0 + Double(x[$1 * count + row]) * Double(x[$1 * count + column])
      }
      #expect((matrix[row, column] - expected / 2).magnitude < 1e-5)
      #expect((general[row, column] - expected).magnitude < 1e-5)
      #expect(matrix[row, column] == matrix[column, row])
    }
  }

  @Test("another order and other precisions")
  func orders() {
    let count = 5
    let matrix = SquareMatrix((0..<25).map(Float.init), count: count)
    let order = [4, 0, 3, 1, 2]
    for precision in SquareMatrix.Precision.allCases {
      let moved = matrix.ordered(by: order, precision: precision)
      let back = moved.ordered(by: [1, 3, 4, 2, 0], precision: .single)
      #expect(moved[0, 2] == matrix[4, 3] && moved[3, 1] == matrix[1, 0])
      #expect(back.values == matrix.values)
    }
  }
}
