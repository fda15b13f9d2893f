import Checkpoints
import TestKit
import Testing

/// The corner that `inspect` draws is the corner of the matrix, whatever its size.
@Suite struct LayerReportTests {
  @Test(arguments: [1, 8, 31, 32, 33, 64]) func cornerIsTheMatrix(size: Int) throws {
    let checkpoint = try Checkpoint(opening: Fixtures.path("demo-model"))
    for name in ["model.layers.0.self_attn.k_proj", "model.layers.1.mlp.down_proj"] {
      let layer = try checkpoint.open(try #require(checkpoint.layer(named: name)))
      let matrix = try QuantizedMatrix(layer)
      let corner = try LayerReport(layer, corner: size).corner
      let form = matrix.form
      #expect(corner.codes.count == min(size, form.rows))
      for (row, codes) in corner.codes.enumerated() {
        let first = row * form.columns
        #expect(codes == Array(matrix.codes[first..<first + min(size, form.columns)]))
        #expect(corner.weights[row] == codes.indices.map { matrix.weight(row: row, column: $0) })
        let parameters = row * form.groups..<row * form.groups + min(size, form.groups)
        #expect(corner.scales[row] == Array(matrix.scales[parameters]))
        #expect(corner.offsets[row] == matrix.zeros[parameters].map(Float.init))
      }
    }
  }
}
