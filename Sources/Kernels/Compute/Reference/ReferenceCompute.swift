internal import TensorCore

/// The operations of models in plain Swift, to be read and to check faster ones against.
///
/// Every sum runs in f64 over its index upwards and is rounded to f32 once, at the end; functions
/// are those of the system's library in f64. One thread. Weights are kept dequantized in f32.
public final class ReferenceCompute: Compute {
  public let name = "reference"

  public init() {}

  public func makeBuffer(_ count: Int) -> Buffer { ReferenceBuffer(count: count) }

  public func write(_ values: RawSpan, to buffer: Buffer, at index: Int) {
    let target = numbers(buffer)
    for offset in 0..<values.byteCount / 4 {
      target.values[index + offset] = values.float32(at: offset)
    }
  }

  public func read(_ buffer: Buffer, at index: Int, into values: inout MutableRawSpan) {
    let source = numbers(buffer)
    for offset in 0..<values.byteCount / 4 {
      values.set(source.values[index + offset].bitPattern, at: offset)
    }
  }

  public func withFloats<Result>(
    _ buffer: Buffer, count: Int, _ body: (RawSpan) throws -> Result
  ) rethrows -> Result {
    try body(Array(numbers(buffer).values.prefix(count)).rawSpan)
  }

  public func copy(_ source: Buffer, count: Int, to target: Buffer) {
    numbers(target).values.replaceSubrange(
      ..<count, with: numbers(source).values.prefix(count))
  }

  public func load(_ source: any WeightSource, activations: ActivationRule) throws
    -> any LoadedWeight
  {
    try ReferenceWeight(source, activations)
  }

  /// The input is rounded as the weight's rule says; then each output is the sum of input · weight
  /// over the columns, plus the bias.
  public func linear(
    _ input: Buffer, tokens: Int, _ weight: any LoadedWeight, bias: Buffer?, into output: Buffer
  ) {
    let weight = loaded(weight)
    let columns = weight.columns
    let values = weight.activations.rounded(
      Array(numbers(input).values[..<(tokens * columns)]), columns: columns)
    let bias = bias.map { numbers($0).values }
    var results = [Float](repeating: 0, count: tokens * weight.rows)
    for token in 0..<tokens {
      for row in 0..<weight.rows {
        var sum = 0.0
        for column in 0..<columns {
          sum +=
            Double(values[token * columns + column]) * Double(weight.values[row * columns + column])
        }
        results[token * weight.rows + row] = Float(sum + Double(bias?[row] ?? 0))
      }
    }
    numbers(output).values.replaceSubrange(..<results.count, with: results)
  }

  public func embed(
    _ ids: [Int32], _ weight: any LoadedWeight, factor: Float, into output: Buffer
  ) {
    let weight = loaded(weight)
    let output = numbers(output)
    for (position, id) in ids.enumerated() {
      for column in 0..<weight.columns {
        output.values[position * weight.columns + column] =
          weight.values[Int(id) * weight.columns + column] * factor
      }
    }
  }

  func numbers(_ buffer: Buffer) -> ReferenceBuffer {
    guard let buffer = buffer as? ReferenceBuffer else {
      preconditionFailure("a buffer of another device")
    }
    return buffer
  }

  private func loaded(_ weight: any LoadedWeight) -> ReferenceWeight {
    guard let weight = weight as? ReferenceWeight else {
      preconditionFailure("a weight of another device")
    }
    return weight
  }
}

/// An array of f32.
final class ReferenceBuffer: Buffer, @unchecked Sendable {
  var values: [Float]

  override init(count: Int) {
    values = [Float](repeating: 0, count: count)
    super.init(count: count)
  }
}

/// A dequantized matrix [rows][columns] in f32.
final class ReferenceWeight: LoadedWeight {
  let rows: Int
  let columns: Int
  let activations: ActivationRule
  let values: [Float]

  var byteCount: Int { values.count * 4 }

  init(_ source: any WeightSource, _ activations: ActivationRule) throws {
    rows = source.rows
    columns = source.columns
    self.activations = activations
    var bytes = AlignedBytes(count: rows * columns * 4)
    let workspace = Workspace()
    try bytes.withMutableBytes(count: bytes.count) {
      try source.readWeights(0..<source.rows, into: &$0, workspace)
    }
    values = bytes.withBytes { bytes in (0..<bytes.byteCount / 4).map { bytes.float32(at: $0) } }
  }
}
