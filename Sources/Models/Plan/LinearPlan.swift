/// A linear layer of a model: where its weight is and its shape, rows being outputs.
public struct LinearPlan: Sendable, Equatable {
  /// One matrix of a tensor `[count][rows][columns]`, as fused experts are stored.
  public struct Slice: Sendable, Equatable {
    public let index: Int
    public let count: Int
  }

  /// The module's path; of a slice, the tensor's name and the index in brackets.
  public let name: String
  public let rows: Int
  public let columns: Int
  public var hasBias = false
  /// Whether a dense tensor is `[inputs, outputs]` (GPT-2's Conv1D).
  public var isTransposed = false
  public private(set) var slice: Slice?
  private let tensor: String?

  init(_ name: String, rows: Int, columns: Int, hasBias: Bool = false) {
    self.name = name
    self.rows = rows
    self.columns = columns
    self.hasBias = hasBias
    tensor = nil
  }

  /// Matrix `index` of the tensor named `tensor`.
  init(tensor: String, slice: Slice, rows: Int, columns: Int) {
    let module = tensor.hasSuffix(".weight") ? String(tensor.dropLast(".weight".count)) : tensor
    name = "\(module)[\(slice.index)]"
    self.rows = rows
    self.columns = columns
    self.slice = slice
    self.tensor = tensor
  }

  /// The tensor that holds the weight in a dense checkpoint.
  public var tensorName: String { tensor ?? name + ".weight" }
  public var biasName: String? { hasBias ? name + ".bias" : nil }
  var tensorNames: [String] { [tensorName] + [biasName].compactMap(\.self) }
}

/// A normalization: its kind, and where its weight is.
public struct NormPlan: Sendable, Equatable {
  public enum Kind: Sendable, Equatable { case rms, layer }

  public let name: String
  public let kind: Kind
  public let width: Int
  public let epsilon: Float
  public var hasWeight = true
  public var hasBias = false
  /// Whether it multiplies by 1 + γ.
  public var isOffset = false

  /// x / √(mean(x²) + ε) · γ.
  static func rms(_ name: String, _ width: Int, _ epsilon: Float, isOffset: Bool = false)
    -> NormPlan
  {
    NormPlan(name: name, kind: .rms, width: width, epsilon: epsilon, isOffset: isOffset)
  }

  /// With weight and bias.
  static func layer(_ name: String, _ width: Int, _ epsilon: Float, isAffine: Bool = true)
    -> NormPlan
  {
    NormPlan(
      name: name, kind: .layer, width: width, epsilon: epsilon, hasWeight: isAffine,
      hasBias: isAffine)
  }

  var tensorNames: [String] {
    (hasWeight ? [name + ".weight"] : []) + (hasBias ? [name + ".bias"] : [])
  }
}
