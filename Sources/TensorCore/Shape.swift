/// The dimensions of a tensor, outermost first. A shape that exists has an element count that fits
/// in `Int`: the product is folded left to right with arithmetic that can fail (safetensors ST-12).
public struct Shape: Hashable, Sendable {
  public let dimensions: [Int]
  /// The number of elements: 1 for a scalar (`[]`), 0 where a dimension is 0.
  public let count: Int

  /// nil where a dimension is negative or the product overflows.
  public init?(_ dimensions: [Int]) {
    var product = 1
    for dimension in dimensions {
      guard dimension >= 0, let next = product.multiplied(by: dimension) else { return nil }
      product = next
    }
    self.dimensions = dimensions
    count = product
  }

  public var rank: Int { dimensions.count }

  public subscript(axis: Int) -> Int { dimensions[axis] }

  /// `(rows, columns)` of a rank-2 shape.
  public var matrix: (rows: Int, columns: Int)? {
    rank == 2 ? (dimensions[0], dimensions[1]) : nil
  }

  /// Bytes that `count` elements of `dtype` take; nil on overflow or where the bits of the whole
  /// tensor are not a multiple of 8.
  public func byteCount(_ dtype: DType) -> Int? {
    guard let bits = count.multiplied(by: dtype.bits), bits % 8 == 0 else { return nil }
    return bits / 8
  }
}

extension Shape: CustomStringConvertible {
  public var description: String {
    "[" + dimensions.map(String.init).joined(separator: ", ") + "]"
  }
}

extension Shape: ExpressibleByArrayLiteral {
  /// For literals in code; a literal that overflows is a programming error and traps.
  public init(arrayLiteral elements: Int...) {
    guard let shape = Shape(elements) else { preconditionFailure("shape \(elements) overflows") }
    self = shape
  }
}
