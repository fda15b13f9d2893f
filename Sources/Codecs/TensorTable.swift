public import TensorCore

/// The tensors of a checkpoint by name, as a codec sees them.
public struct TensorTable: Sendable {
  private let tensors: [String: Tensor]
  /// All names, sorted bytewise.
  public let names: [String]

  public init(_ tensors: [Tensor]) {
    self.tensors = Dictionary(tensors.map { ($0.name, $0) }) { first, _ in first }
    names = self.tensors.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  public subscript(name: String) -> Tensor? { tensors[name] }

  public func contains(_ name: String) -> Bool { tensors[name] != nil }

  /// The modules `X` that have a tensor `X.<part>`, sorted.
  public func modules(with part: String) -> [String] {
    let suffix = "." + part
    return names.lazy.filter { $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.count)) }
  }
}
