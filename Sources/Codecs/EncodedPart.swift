public import Kernels
public import TensorCore

/// A tensor to be written, made in bands of its outermost axis.
public struct EncodedPart: Sendable {
  /// Fills `bytes` with the given rows of the tensor.
  public typealias Make =
    @Sendable (
      _ rows: Range<Int>, _ bytes: inout MutableRawSpan, _ workspace: Workspace
    ) throws -> Void

  /// Makes the same in strips of rows after each other, each of which may be written at once.
  public typealias MakeStrips =
    @Sendable (
      _ rows: Range<Int>, _ workspace: Workspace,
      _ body: (_ rows: Range<Int>, _ bytes: RawSpan) throws -> Void
    ) throws -> Void

  public let info: TensorInfo
  /// Bands begin at multiples of this many rows.
  public let alignment: Int
  /// The order in which the part walks through the codes of its layer; nil where it has none.
  public let order: Order?
  /// What the user should know of how the part is written; nil where it is as always.
  public let note: String?
  public let make: Make
  /// nil where bands are made whole.
  public var makeStrips: MakeStrips?
  /// The length of the outermost axis, 1 of a scalar.
  public var rows: Int { info.shape.rank > 0 ? info.shape[0] : 1 }

  public init(
    info: TensorInfo, alignment: Int, order: Order?, note: String? = nil, make: @escaping Make
  ) {
    self.info = info
    self.alignment = alignment
    self.order = order
    self.note = note
    self.make = make
  }
}

extension EncodedPart {
  /// Throws `cannotRepresent` where the tensor would be too large.
  public init(
    _ name: String, _ dtype: DType, _ dimensions: [Int], alignment: Int = 1, order: Order? = nil,
    note: String? = nil, make: @escaping Make
  ) throws {
    guard let shape = Shape(dimensions),
      let info = TensorInfo(name: name, dtype: dtype, shape: shape)
    else {
      throw Failure(
        .cannotRepresent, at: name, "the tensor would be too large", found: "\(dimensions)")
    }
    self.init(info: info, alignment: alignment, order: order, note: note, make: make)
  }

  /// The scales of a layer as `[groups, rows]`, in the type they have.
  static func scales(_ name: String, of layer: any PackedLayer) throws -> EncodedPart {
    let form = layer.form
    return try .init(name, form.scaleType, [form.groups, form.rows]) { groups, bytes, workspace in
      try layer.readScales(
        Region(rows: 0..<form.rows, columns: groups), .inputMajor, into: &bytes, workspace)
    }
  }
}
