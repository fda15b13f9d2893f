internal import CKernels
internal import TensorCore

/// A matrix as the host's cores multiply it.
final class CPUWeight: LoadedWeight {
  enum Storage: Sendable {
    case dense(DenseWeight)
    case packed(PackedMatrix)
  }

  let storage: Storage
  let activations: ActivationRule

  init(
    _ source: any WeightSource, _ activations: ActivationRule, threads: Int,
    on level: Processor.Level
  ) throws {
    self.activations = activations
    if let form = source.form, PackedMatrix.canHold(form) {
      storage = .packed(try PackedMatrix(source, threads: threads))
    } else {
      storage = .dense(try DenseWeight(source, threads: threads, on: level))
    }
  }

  private var weight: any LoadedWeight {
    switch storage {
    case .dense(let weight): weight
    case .packed(let weight): weight
    }
  }

  var rows: Int { weight.rows }
  var columns: Int { weight.columns }
  var byteCount: Int { weight.byteCount }

  /// Weights of a rectangle in f32, [rows][columns], on the calling thread.
  func read(
    _ rows: Range<Int>, _ columns: Range<Int>, into values: inout MutableRawSpan,
    _ workspace: Workspace, on level: Processor.Level
  ) {
    switch storage {
    case .dense(let weight): weight.read(rows, columns, into: &values, on: level)
    case .packed(let weight):
      weight.dequantize(rows: rows, columns: columns, into: &values, workspace, on: level)
    }
  }
}

/// A dense matrix [rows][columns] in f32, f16 or bf16: the type it came in, where that is one of these.
final class DenseWeight: LoadedWeight {
  let rows: Int
  let columns: Int
  let type: DType
  private let block: AlignedBytes

  /// Reads the matrix in bands, in parallel. Other types are kept in one of these that holds them exactly.
  init(_ source: any WeightSource, threads: Int, on level: Processor.Level) throws {
    (rows, columns, type) = (source.rows, source.columns, Self.type(of: source))
    let line = columns * type.bits / 8
    var block = AlignedBytes(count: rows * line)
    let bandRows = max(32, PackedLoader.bandSize(threads: threads) / max(line, 1) / 32 * 32)
    var bytes = block.mutableBytes
    let (columns, type) = (columns, type)
    try parallelFor(partsOf: &bytes, size: max(1, bandRows * line), threads: threads) {
      band, part in
      let first = band * bandRows
      let range = first..<first + part.byteCount / line
      if type == .f32 { return try source.readWeights(range, into: &part, Workspace()) }
      let workspace = Workspace()
      try workspace.lend(range.count * columns * 4) { values in
        try source.readWeights(range, into: &values, workspace)
        try FloatConversion.fromFloat32(type, values.bytes, into: &part, on: level)
      }
    }
    self.block = block
  }

  private static func type(of source: any WeightSource) -> DType {
    guard source.form == nil else { return .f32 }
    return switch source.denseType {
    case .f16: .f16
    case .bf16, .f8e4m3, .f8e5m2: .bf16
    default: .f32
    }
  }

  var byteCount: Int { block.count }

  var kind: ck_float_kind {
    switch type {
    case .f16: ck_f16
    case .bf16: ck_bf16
    default: ck_f32
    }
  }

  /// Lends rows as they are held.
  func withRows(_ range: Range<Int>, _ body: (RawSpan) -> Void) {
    let line = columns * type.bits / 8
    block.withBytes { body($0.part(range.lowerBound * line..<range.upperBound * line)) }
  }

  func read(
    _ rows: Range<Int>, _ columns: Range<Int>, into values: inout MutableRawSpan,
    on level: Processor.Level
  ) {
    let size = type.bits / 8
    for (position, row) in rows.enumerated() {
      var part = values.part(position * columns.count * 4..<(position + 1) * columns.count * 4)
      let start = (row * self.columns + columns.lowerBound) * size
      block.withBytes { bytes in
        let source = bytes.part(start..<start + columns.count * size)
        // The types of a dense weight can all be read.
        try? FloatConversion.toFloat32(type, source, into: &part, on: level)
      }
    }
  }
}
