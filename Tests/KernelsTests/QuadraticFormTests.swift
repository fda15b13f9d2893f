import TensorCore
import Testing

@testable import Kernels

/// Quadratic forms by half of a product, and what changes would add to them, beside sums in f64.
struct QuadraticFormTests {
  /// Wider than a tile, and not by a whole one.
  let count = SquareMatrix.tile + 44
  let rows = 5
  let gram: SquareMatrix
  let errors: [Float]

  init() {
    let inputs = Self.drawn(70 * (SquareMatrix.tile + 44), seed: 1)
    gram = SquareMatrix(count: count)
    gram.addGram(inputs.rawSpan, tokens: 70, threads: 2)
    gram.completeTriangle(times: 1, threads: 2)
    errors = Self.drawn(rows * count, seed: 2)
  }

  private static func drawn(_ count: Int, seed: UInt64) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(Int32(truncatingIfNeeded: state >> 32)) / 0x1p31
    }
  }

  private func form(_ values: [Float], _ row: Int) -> Double {
    var sum = 0.0
    for first in 0..<count {
      for second in 0..<count {
        sum +=
          Double(values[row * count + first]) * gram[first, second]
          * Double(values[row * count + second])
      }
    }
    return sum
  }

  @Test(arguments: [(SquareMatrix.Precision.single, 1e-5), (.double, 1e-13)])
  func halvesMakeWholes(precision: SquareMatrix.Precision, tolerance: Double) {
    let gram = gram.converted(to: precision, threads: 1)
    for (row, ours) in gram.quadraticForms(of: errors.rawSpan).enumerated() {
      let theirs = form(errors, row)
      #expect(abs(ours - theirs) < tolerance * theirs)
    }
  }

  @Test func additionsAreWhatChangesAdd() {
    var changed = errors
    var forms = QuadraticRows(errors.rawSpan, over: gram)
    for columns in [0..<32, 40..<count] {
      let width = columns.count
      let changes = Self.drawn(rows * width, seed: UInt64(width))
      let additions = forms.additions(of: changes.rawSpan, in: columns)
      let before = (0..<rows).map { form(changed, $0) }
      for index in changes.indices {
        changed[index / width * count + columns.lowerBound + index % width] += changes[index]
      }
      forms.change(by: changes.rawSpan, in: columns)
      for (row, addition) in additions.enumerated() {
        let after = form(changed, row)
        #expect(abs(before[row] + Double(addition) - after) < 1e-4 * (before[row] + after))
      }
    }
  }

  @Test func factorsDivideRowsAndColumns() {
    let small = SquareMatrix([4, 6, 6, 10], count: 2)
    small.divideRowsAndColumns(by: [2, 0.5], threads: 1)
    #expect(small.values == [1, 6, 6, 40])
  }
}
