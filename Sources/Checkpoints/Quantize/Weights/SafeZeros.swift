import Kernels

extension QuantizedMatrix {
  /// The matrix without zero points of 0, and how many codes that has clipped.
  ///
  /// Codes and zero point of such a group move up by one, which changes no weight but those of the
  /// largest code: they lose one step of the scale. Version 1 of GPTQ has no safe form for 0 (GPTQ-11).
  func withoutZeroPointsOfZero() -> (matrix: QuantizedMatrix, groups: Int, clipped: Int) {
    let places = self.zeros.indices.filter { self.zeros[$0] == 0 }
    guard !places.isEmpty else { return (self, 0, 0) }
    var (codes, zeros) = (self.codes, self.zeros)
    var clipped = 0
    let top = UInt8(truncatingIfNeeded: 1 << form.grid.bits - 1)
    let moved = Set(places)
    for row in Set(places.map { $0 / form.groups }) {
      for column in 0..<form.columns
      where moved.contains(row * form.groups + form.grouping.group(ofColumn: column)) {
        let index = row * form.columns + column
        if codes[index] == top { clipped += 1 } else { codes[index] += 1 }
      }
    }
    for place in places { zeros[place] = 1 }
    let matrix = QuantizedMatrix(form: form, codes: codes, scales: scales, zeros: zeros)
    return (matrix, places.count, clipped)
  }
}
