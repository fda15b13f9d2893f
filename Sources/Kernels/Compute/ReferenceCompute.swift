import TensorCore

/// Every operation in plain Swift, as its definition reads: what faster devices are held against.
///
/// Sums run in f64, one term after the other from the lowest index on, and are rounded to f32 once; a
/// product of two f32 numbers is exact in f64. Elementary functions are those of f64, rounded once.
/// On one thread.
public final class ReferenceCompute: Compute {
  public let name = "reference"

  public init() {}

  public func makeBuffer(_ count: Int) -> Buffer { ReferenceBuffer(count) }

  public func write(_ values: RawSpan, to buffer: Buffer, at index: Int) {
    let target = Self.open(buffer)
    for offset in 0..<values.byteCount / 4 {
      target.values[index + offset] = values.float32(at: offset)
    }
  }

  public func read(_ buffer: Buffer, at index: Int, into values: inout MutableRawSpan) {
    let source = Self.open(buffer)
    for offset in 0..<values.byteCount / 4 {
      values.set(source.values[index + offset].bitPattern, at: offset)
    }
  }

  /// Weights are expanded to f32: the reference is small, not frugal.
  public func load(
    _ source: any WeightSource, activations: ActivationRule
  ) throws -> any LoadedWeight {
    try ReferenceWeight(source, activations)
  }

  public func linear(
    _ input: Buffer, tokens: Int, _ weight: any LoadedWeight, bias: Buffer?, into output: Buffer
  ) throws {
    let weight = Self.open(weight)
    let bias = bias.map { Self.open($0).values }
    let target = Self.open(output)
    for token in 0..<tokens {
      let row = Self.open(input).values[token * weight.columns..<(token + 1) * weight.columns]
      let product = weight.product(Array(row))
      for (index, value) in product.enumerated() {
        target.values[token * weight.rows + index] = bias.map { value + $0[index] } ?? value
      }
    }
  }

  public func embed(
    _ ids: [Int32], _ weight: any LoadedWeight, factor: Float, into output: Buffer
  ) throws {
    let weight = Self.open(weight)
    let target = Self.open(output)
    for (position, id) in ids.enumerated() {
      for column in 0..<weight.columns {
        target.values[position * weight.columns + column] =
          weight.values[Int(id) * weight.columns + column] * factor
      }
    }
  }

  static func open(_ buffer: Buffer) -> ReferenceBuffer {
    guard let buffer = buffer as? ReferenceBuffer else {
      preconditionFailure("a buffer of another device")
    }
    return buffer
  }

  static func open(_ weight: any LoadedWeight) -> ReferenceWeight {
    guard let weight = weight as? ReferenceWeight else {
      preconditionFailure("a weight of another device")
    }
    return weight
  }
}

/// Numbers in an array. Used by one thread at a time, which its owner sees to.
final class ReferenceBuffer: Buffer, @unchecked Sendable {
  var values: [Float]

  init(_ count: Int) {
    values = [Float](repeating: 0, count: count)
    super.init(count: count)
  }
}
