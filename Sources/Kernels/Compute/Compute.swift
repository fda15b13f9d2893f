internal import TensorCore

/// The short list of operations that models are made of, on one device.
///
/// Activations are f32, row-major, in buffers of the same `Compute`; only `write`, `read` and `withFloats` cross
/// to the host. Every sum runs in f32 or wider. Implementations: `ReferenceCompute`, plain Swift with a
/// stated order of summation, and `CPUCompute`, fast. Traps where counts do not fit buffers: models check shapes
/// when they are loaded. Throws `device` or `io` where the device fails.
public protocol Compute: AnyObject, Sendable {
  /// What users call it: `reference`, `cpu`.
  var name: String { get }

  /// A buffer of zeros.
  func makeBuffer(_ count: Int) throws -> Buffer
  /// f32 numbers from the host to `buffer[index...]`.
  func write(_ values: RawSpan, to buffer: Buffer, at index: Int) throws
  /// `buffer[index...]` to the host, as many f32 numbers as `values` has room for.
  func read(_ buffer: Buffer, at index: Int, into values: inout MutableRawSpan) throws
  /// The first `count` numbers as the host reads them, for the length of a call: where they are if that is the
  /// host's memory, else a copy.
  func withFloats<Result>(
    _ buffer: Buffer, count: Int, _ body: (RawSpan) throws -> Result
  ) throws -> Result
  /// target = source, of the first `count` numbers.
  func copy(_ source: Buffer, count: Int, to target: Buffer) throws

  /// Takes a matrix in: in its dense type, or repacked from its codes, never expanded. Memory besides the
  /// result is a band. Forms with no packed kernel are kept dense in f32 (or bf16/f16 where that is exact).
  func load(_ source: any WeightSource, activations: ActivationRule) throws -> any LoadedWeight
  /// input [tokens][columns] times the transpose of the weight, plus `bias` [rows], into output
  /// [tokens][rows].
  func linear(
    _ input: Buffer, tokens: Int, _ weight: any LoadedWeight, bias: Buffer?, into output: Buffer
  ) throws
  /// Rows of a weight by number, times `factor`: embeddings, [ids][columns].
  func embed(
    _ ids: [Int32], _ weight: any LoadedWeight, factor: Float, into output: Buffer
  ) throws

  /// Each of `rows` runs of `width` numbers normalized; `output` may be `input`.
  func normalize(
    _ input: Buffer, rows: Int, width: Int, _ norm: Norm, into output: Buffer
  ) throws
  /// Rotates the first `2 * pairs` numbers of each head in place, pair (i, i + pairs) by the angle of the
  /// token's position: x·cos − y·sin, y·cos + x·sin. values [tokens][heads][headSize]; cosines and
  /// sines [positions][pairs]; `positions` [tokens].
  func rotate(
    _ values: Buffer, tokens: Int, heads: Int, headSize: Int, cosines: Buffer, sines: Buffer,
    pairs: Int, positions: [Int32]
  ) throws
  /// Copies rows [sequences][tokens][width] into a cache [sequences][capacity][width] from position
  /// `start` of each sequence on.
  func store(
    _ values: Buffer, sequences: Int, tokens: Int, width: Int, into cache: Buffer, capacity: Int,
    at start: Int
  ) throws
  /// Causal attention of queries [sequences][tokens][heads][headSize] over what the caches [sequences]
  /// [capacity][kvHeads][headSize] hold: the query of token i sees positions 0...start+i, the last `window`
  /// of them where there is one. Memory does not grow with tokens × positions. Output has the
  /// shape of the queries.
  func attend(
    _ queries: Buffer, keys: Buffer, values: Buffer, _ shape: AttentionShape, into output: Buffer
  ) throws

  /// f(x) in place, of the first `count` numbers.
  func activate(_ values: Buffer, count: Int, _ activation: Activation) throws
  /// f(gate) · up into `gate`, both [rows][width].
  func gate(_ gate: Buffer, _ up: Buffer, count: Int, _ activation: Activation) throws
  /// Splits rows [rows][a + b] into [rows][a] and [rows][b]: fused projections. Widths add up to a row.
  func split(_ input: Buffer, rows: Int, widths: [Int], into outputs: [Buffer]) throws
  /// target += source, of the first `count` numbers.
  func add(_ source: Buffer, count: Int, to target: Buffer) throws
  /// target *= factor.
  func scale(_ target: Buffer, count: Int, by factor: Float) throws
  /// cap · tanh(x / cap) in place.
  func softcap(_ values: Buffer, count: Int, cap: Float) throws
  /// Rows `[ids][width]` of `source` by number.
  func gather(_ source: Buffer, rows: [Int32], width: Int, into output: Buffer) throws
  /// target[rows[i]] += source[i] · factors[i], rows of `width` numbers; `rows` has no repeats.
  func scatter(
    _ source: Buffer, factors: [Float], rows: [Int32], width: Int, addingTo target: Buffer
  ) throws
}

extension Compute {
  /// The first `count` numbers of a buffer, on the host.
  public func floats(_ buffer: Buffer, _ count: Int) throws -> [Float] {
    var values = [Float](repeating: 0, count: count)
    try values.withMutableBytes { try read(buffer, at: 0, into: &$0) }
    return values
  }
}

/// A matrix that a `Compute` has taken in.
public protocol LoadedWeight: AnyObject, Sendable {
  var rows: Int { get }
  var columns: Int { get }
  /// Bytes that one product with it reads.
  var byteCount: Int { get }
}

/// How the input of a linear layer is treated.
public enum ActivationRule: Sendable, Equatable {
  /// As it is: dequantized weights, float activations.
  case float
  /// 8-bit codes of each token, a scale for each run of `group` inputs; nil: one for the whole token.
  /// Faster, with an error that the implementation states.
  case int8(group: Int?)
  /// LLM.int8(): outliers of at least the threshold in floating point (I8-n).
  case llmInt8(threshold: Float)
  /// compressed-tensors W8A8: one symmetric int8 scale for each token, found as it runs.
  case dynamicInt8
  /// E4M3 codes with a scale for each run of `group` inputs of a token, found as it runs; nil: one for the whole
  /// token. `powersOfTwo` rounds scales up to such.
  case dynamicFP8(group: Int? = nil, powersOfTwo: Bool = false)
}

/// A normalization over the last axis.
public struct Norm: Sendable {
  public enum Kind: Sendable {
    /// x / √(mean(x²) + ε) · weight.
    case rms
    /// (x − mean) / √(variance + ε) · weight + bias.
    case layer
  }

  public let kind: Kind
  public let epsilon: Float
  /// [width]; nil is all ones. Norms that compute with 1 + γ have the 1 in it.
  public let weight: Buffer?
  public let bias: Buffer?

  public init(_ kind: Kind, epsilon: Float, weight: Buffer?, bias: Buffer? = nil) {
    self.kind = kind
    self.epsilon = epsilon
    self.weight = weight
    self.bias = bias
  }
}

public enum Activation: String, Sendable {
  case relu, silu
  /// x/2 · (1 + erf(x/√2)).
  case gelu
  /// x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³))).
  case geluTanh
  /// x · sigmoid(1.702·x).
  case quickGelu
}

public struct AttentionShape: Sendable {
  public var sequences = 1
  /// New tokens of each sequence.
  public var tokens: Int
  /// Positions that were in the cache before them.
  public var start: Int
  /// Positions each sequence has room for in the caches.
  public var capacity: Int
  public var heads: Int
  public var kvHeads: Int
  public var headSize: Int
  /// What products of queries and keys are multiplied by.
  public var scale: Float
  /// cap · tanh(x / cap) of the scaled products.
  public var softcap: Float?
  /// Positions a token sees, its own included; nil: all before it.
  public var window: Int?

  public init(
    tokens: Int, start: Int, capacity: Int, heads: Int, kvHeads: Int, headSize: Int, scale: Float
  ) {
    self.tokens = tokens
    self.start = start
    self.capacity = capacity
    self.heads = heads
    self.kvHeads = kvHeads
    self.headSize = headSize
    self.scale = scale
  }
}
