import Kernels
internal import Synchronization
import TensorCore

/// What became of a panel of rows.
struct QuantizedRows {
  /// `[rows][columns]`.
  var codes: [UInt8]
  /// `[rows][groups]`.
  var scales: [Float]
  var zeros: [UInt16]
  /// Σ (w − q)² and Σ w².
  var squares = 0.0
  var weightSquares = 0.0
  /// Σ errors², and the weights' own part of the outputs, w·H·wᵀ.
  var loss = 0.0
  var outputSquares = 0.0

  init() { (codes, scales, zeros) = ([], [], []) }

  /// Runs `body` for panels of up to `size` rows and puts what they give together in order.
  static func collect(
    rows: Int, size: Int, threads: Int, _ body: @Sendable (Range<Int>) throws -> QuantizedRows
  ) throws -> QuantizedRows {
    let panels = rows.dividedRoundingUp(by: size)
    let found = Mutex([QuantizedRows?](repeating: nil, count: panels))
    try parallelFor(panels, threads: threads) { (index: Int) throws in
      let part = try body(index * size..<min((index + 1) * size, rows))
      found.withLock { $0[index] = part }
    }
    return found.withLock { parts in
      parts.reduce(into: QuantizedRows()) { all, part in if let part { all.append(part) } }
    }
  }

  private mutating func append(_ next: QuantizedRows) {
    codes += next.codes
    scales += next.scales
    zeros += next.zeros
    squares += next.squares
    weightSquares += next.weightSquares
    loss += next.loss
    outputSquares += next.outputSquares
  }

  /// ‖W − Q‖ / ‖W‖.
  var weightError: Double {
    weightSquares > 0 ? (squares / weightSquares).squareRoot() : 0
  }

  /// The matrix, scales rounded to their stored type. Throws `cannotRepresent` where one is too large.
  /// `lift` is added to codes and zero points.
  func matrix(
    _ form: QuantizedForm, lift: Int = 0, name: String
  ) throws(Failure) -> QuantizedMatrix {
    let stored = try rounded(scales, to: form.scaleType)
    if let index = stored.firstIndex(where: { !$0.isFinite }) {
      throw Failure(
        .cannotRepresent, at: name, "a scale is too large for \(form.scaleType.rawValue)",
        found: "\(scales[index]) in row \(index / form.groups)",
        remedy: "BF16 or F32 scales hold it")
    }
    guard lift > 0 else {
      return QuantizedMatrix(form: form, codes: codes, scales: stored, zeros: zeros)
    }
    return QuantizedMatrix(
      form: form, codes: codes.map { $0 + UInt8(lift) }, scales: stored,
      zeros: zeros.map { $0 + UInt16(lift) })
  }

  private func rounded(_ values: [Float], to type: DType) throws(Failure) -> [Float] {
    guard type != .f32 else { return values }
    var halves = AlignedBytes(count: values.count * 2)
    var target = halves.mutableBytes
    try FloatConversion.fromFloat32(type, values.rawSpan, into: &target)
    var wide = AlignedBytes(count: values.count * 4)
    var span = wide.mutableBytes
    try FloatConversion.toFloat32(type, halves.bytes, into: &span)
    let bytes = wide.bytes
    return values.indices.map { bytes.float32(at: $0) }
  }
}
