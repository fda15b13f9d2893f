/// A quantized matrix in memory, without loss: what the two rivers of the package meet in.
public struct QuantizedMatrix: Sendable, Equatable {
  public let form: QuantizedForm
  /// `[rows][columns]`, one byte each.
  public let codes: [UInt8]
  /// `[rows][groups]`; float32 holds every stored type exactly.
  public let scales: [Float]
  /// `[rows][groups]`, whole zero points.
  public let zeros: [UInt16]

  /// Traps where the counts do not fit the form.
  public init(form: QuantizedForm, codes: [UInt8], scales: [Float], zeros: [UInt16]) {
    precondition(codes.count == form.codeCount)
    precondition(scales.count == form.parameterCount && zeros.count == form.parameterCount)
    self.form = form
    self.codes = codes
    self.scales = scales
    self.zeros = zeros
  }

  /// The weight of an output and an input: `s·(q − z)` in float32, rounded once.
  public func weight(row: Int, column: Int) -> Float {
    let parameter = row * form.groups + form.grouping.group(ofColumn: column)
    let code = Float(codes[row * form.columns + column])
    return scales[parameter] * (code - Float(zeros[parameter]))
  }

  /// All weights, `[rows][columns]`. The readable reference of every faster way.
  public func dequantized() -> [Float] {
    (0..<form.rows).flatMap { row in
      (0..<form.columns).map { weight(row: row, column: $0) }
    }
  }
}
