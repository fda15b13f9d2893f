import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

@Suite("Rounding to nearest")
struct RTNTests {
  private func drawn(rows: Int, columns: Int) -> Matrix {
    var random = SplitMix64(seed: 0x31)
    let values = normals(rows * columns + 1, from: &random)
    return Matrix(rows: rows, columns: columns, values: Array(values[..<(rows * columns)]))
  }

  @Test("by hand")
  func byHand() throws {
    let weight = Matrix(rows: 2, columns: 4, values: [-3, 1, 0.5, 4.5, 0, 0, 0, 0])
    let asymmetric = try RTN(UniformGrid(.bits(2), groupSize: nil, isSymmetric: false))
      .quantize(weight, name: "layer").matrix
    // −3 … 4.5 in steps of 2.5, zero round(1.2) = 1; ±1 where there is nothing but zeros.
    #expect(asymmetric.scales == [2.5, Float(Float16(2.0 / 3))] && asymmetric.zeros == [1, 2])
    #expect(asymmetric.codes == [0, 1, 1, 3, 2, 2, 2, 2])
    let ternary = try RTN(UniformGrid(.ternary, groupSize: 2)).quantize(weight, name: "layer")
      .matrix
    #expect(ternary.scales == [3, 4.5, 1, 1] && ternary.zeros == [2, 2, 2, 2])
    #expect(ternary.codes == [1, 2, 2, 3, 2, 2, 2, 2])
  }

  @Test("groups, the last one shorter; threads change nothing")
  func groups() throws {
    let weight = drawn(rows: 130, columns: 37)
    for bits in 2...8 {
      let grid = UniformGrid(
        .bits(bits), groupSize: 16, isSymmetric: bits % 2 == 0, scaleType: .f32)
      var one = try RTN(grid).quantize(weight, name: "layer", threads: 1)
      var many = try RTN(grid).quantize(weight, name: "layer", threads: 3)
      (one.report.seconds, many.report.seconds) = (0, 0)
      #expect(one == many)
      let matrix = one.matrix
      #expect(matrix.form.groups == 3 && matrix.codes.allSatisfy { Int($0) < 1 << bits })
      for (index, value) in matrix.dequantized().enumerated() {
        let scale = matrix.scales[index / 37 * 3 + index % 37 / 16]
        // As published, a symmetric range without a negative number has codes for its lower half only.
        let start = index - index % 37 % 16
        let group = weight.values[start..<min(start + 16, (index / 37 + 1) * 37)]
        if grid.isSymmetric, !group.contains(where: { $0 < 0 }) { continue }
        // Half a step; a whole one at the end that a symmetric range has no code for.
        #expect((value - weight.values[index]).magnitude <= scale * 1.001)
      }
    }
  }

  @Test("searched ranges lose less of what they count")
  func searches() throws {
    let weight = drawn(rows: 16, columns: 64)
    let importance = (0..<64).map { Float($0 % 8 == 0 ? 50 : 1) }
    let error = { (matrix: QuantizedMatrix, norm: Float, weights: [Float]?) -> Float in
      zip(matrix.dequantized(), weight.values).enumerated().reduce(0) { sum, one in
        let distance = (one.element.0 - one.element.1).magnitude
        let power = norm == 2 ? distance * distance : distance * distance * distance
        return sum + power * (weights?[one.offset % 64] ?? 1)
      }
    }
    let quantize = { (search: RangeSearch?, weights: [Float]?) in
      try RTN(UniformGrid(.bits(3), groupSize: 32, search: search, scaleType: .f32))
        .quantize(weight, importance: weights, name: "layer").matrix
    }
    let whole = try quantize(nil, nil)
    let squares = try quantize(RangeSearch(norm: 2), nil)
    #expect(error(squares, 2, nil) < 0.95 * error(whole, 2, nil))
    let cubes = try quantize(RangeSearch(norm: 3), nil)
    #expect(error(cubes, 3, nil) <= error(squares, 3, nil))
    let weighted = try quantize(RangeSearch(norm: 2, isWeighted: true), importance)
    #expect(error(weighted, 2, importance) < error(squares, 2, importance))
  }
}
