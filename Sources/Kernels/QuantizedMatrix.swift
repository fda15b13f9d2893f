/// A quantized matrix in memory, without loss: what the two rivers of the package meet in.
public struct QuantizedMatrix: Sendable, Equatable {
  public let form: QuantizedForm
  /// `[rows][columns]`, one byte each.
  public let codes: [UInt8]
  /// `[rows][groups]`; float32 holds every stored type exactly.
  public let scales: [Float]
  /// `[rows][groups]`, whole zero points; empty for other offsets.
  public let zeros: [UInt16]
  /// `[rows][groups]`, real zero points or added terms; empty for other offsets.
  public let offsets: [Float]

  /// Traps where the counts do not fit the form.
  public init(
    form: QuantizedForm, codes: [UInt8], scales: [Float], zeros: [UInt16] = [],
    offsets: [Float] = []
  ) {
    precondition(codes.count == form.codeCount && scales.count == form.parameterCount)
    switch form.offset {
    case .none: precondition(zeros.isEmpty && offsets.isEmpty)
    case .integer: precondition(zeros.count == form.parameterCount && offsets.isEmpty)
    case .real, .added: precondition(zeros.isEmpty && offsets.count == form.parameterCount)
    }
    self.form = form
    self.codes = codes
    self.scales = scales
    self.zeros = zeros
    self.offsets = offsets
  }

  /// The weight of an output and an input in float32: a product rounded once, and where a term is
  /// added the sum rounded again, as a product with the form's factor is.
  public func weight(row: Int, column: Int) -> Float {
    let parameter = row * form.groups + form.grouping.group(ofColumn: column)
    let code = codes[row * form.columns + column]
    let value: Float =
      switch form.grid {
      case .affine: Float(code)
      case .table(_, let values): values[Int(code)]
      }
    let scale = scales[parameter]
    let weight: Float =
      switch form.offset {
      case .none: scale * value
      case .integer: scale * (value - Float(zeros[parameter]))
      case .real: scale * (value - offsets[parameter])
      case .added: scale * value + offsets[parameter]
      }
    return form.factor.map { weight * $0 } ?? weight
  }

  /// All weights, `[rows][columns]`. The readable reference of every faster way.
  public func dequantized() -> [Float] {
    (0..<form.rows).flatMap { row in
      (0..<form.columns).map { weight(row: row, column: $0) }
    }
  }
}
