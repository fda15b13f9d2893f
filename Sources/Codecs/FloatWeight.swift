import Kernels
import TensorCore

/// A tensor of small floats and its scales, of one matrix or of several behind each other: what
/// FP8, MXFP4, MXFP8 and NVFP4 have in common before their own rules are asked.
struct FloatWeight {
  /// The rules of the layout's page.
  struct Rules {
    let parts: String
    let scales: String
  }

  /// What is done with a stored scale, and the tensor of the number it takes.
  enum Scaling {
    case asStored
    case divided(by: Tensor)
    case multiplied(by: Tensor)
    case inverse
  }

  let module: String
  let grid: Grid
  let codes: Tensor
  let scale: Tensor
  /// The type the bytes of `scale` have: U8 is read as the exponents of E8M0.
  let scaleType: DType
  /// Further parts, which say nothing about the weight.
  var others: [Tensor] = []
  var scaling = Scaling.asStored
  /// nil for the usual place: `weight` of the module, or the codes' own name.
  var dense: DensePlace?
  let slices: Int?
  let rows: Int
  let columns: Int
  let tiles: ScaleTiles

  /// `codesAxes` are the dimensions of the codes as `[matrices,] rows, columns`, in codes; `block`
  /// is the size of tiles that the config names. Throws `malformed` where the scales don't fit.
  init(
    _ module: String, grid: Grid, codes: Tensor, codesAxes: [Int], scale: Tensor,
    block: (rows: Int, columns: Int)? = nil, rules: Rules
  ) throws {
    guard codesAxes.count == 2 || codesAxes.count == 3 && codesAxes[0] <= Self.mostSlices,
      !codesAxes.contains(0)
    else {
      throw Failure(
        .malformed, at: codes.place, "the shape of the codes",
        expected: "[outputs, inputs] or [matrices, outputs, inputs]", found: "\(codes.shape)",
        rule: rules.parts)
    }
    let slices = codesAxes.count == 3 ? codesAxes[0] : nil
    let matrix = (rows: codesAxes[codesAxes.count - 2], columns: codesAxes[codesAxes.count - 1])
    let shape = Self.shape(ofEach: scale.shape.dimensions, slices: slices)
    guard let shape, let tiles = ScaleTiles(shape, matrix: matrix, block: block) else {
      throw Failure(
        .malformed, at: scale.place, "the scales don't fit the codes",
        expected: "one scale, one a row, or tiles of \(matrix.rows) × \(matrix.columns)",
        found: "\(scale.shape)", rule: rules.scales)
    }
    guard let scaleType = Self.type(of: scale) else {
      throw Failure(
        .malformed, at: scale.place, "the type of the scales",
        expected: "F32, F16, BF16, F8_E4M3, F8_E8M0 or U8", found: scale.dtype.rawValue,
        rule: rules.scales)
    }
    self.module = module
    self.grid = grid
    self.codes = codes
    self.scale = scale
    self.scaleType = scaleType
    self.slices = slices
    self.tiles = tiles
    (rows, columns) = matrix
  }

  /// More matrices in one tensor than any model has experts are refused.
  private static let mostSlices = 1 << 16

  /// The shape of the scales of one matrix; nil where they are not of so many matrices.
  private static func shape(ofEach dimensions: [Int], slices: Int?) -> [Int]? {
    guard let slices else { return dimensions }
    guard dimensions.first == slices, dimensions.count <= 3 else { return nil }
    return Array(dimensions.dropFirst())
  }

  /// The type the bytes of scales have; nil where they can be no scales.
  static func type(of scale: Tensor) -> DType? {
    switch scale.dtype {
    case .u8, .f8e8m0: .f8e8m0
    case .f32, .f16, .bf16, .f8e4m3: scale.dtype
    default: nil
    }
  }
}

extension FloatWeight {
  /// A claim for each matrix.
  func claims(layout: String, findings: [Finding]) -> [LayerClaim] {
    guard let slices else { return [claim(module, nil, layout, findings)] }
    return (0..<slices).map { index in
      claim(
        "\(module)[\(index)]", .init(index: index, count: slices), layout,
        index == 0 ? findings : [])
    }
  }

  private func claim(
    _ name: String, _ slice: LayerClaim.Slice?, _ layout: String, _ findings: [Finding]
  ) -> LayerClaim {
    let usual = codes.name == module ? module : module + ".weight"
    return LayerClaim(
      name: name, layout: layout, rows: rows, columns: columns, bits: grid.bits,
      groupSize: tiles.columns, parts: parts, slice: slice, dense: dense ?? DensePlace(name: usual),
      findings: findings)
  }

  private var parts: [String: Tensor] {
    var tensors = [codes, scale] + others
    switch scaling {
    case .asStored, .inverse: break
    case .divided(let factor), .multiplied(let factor): tensors.append(factor)
    }
    return Dictionary(tensors.map { (partName(of: $0), $0) }) { first, _ in first }
  }

  /// A tensor's name behind that of the module.
  private func partName(of tensor: Tensor) -> String {
    let rest = tensor.name.dropFirst(module.count)
    return rest.isEmpty ? "weight" : String(rest.drop { $0 == "." || $0 == "_" })
  }

  /// The scaling of one matrix. Reads a number of the factor.
  func scaling(slice: LayerClaim.Slice?) throws -> FloatLayer.Scaling {
    switch scaling {
    case .asStored: .asStored
    case .inverse: .inverse
    case .divided(let factor): .divided(by: try Self.number(factor, slice))
    case .multiplied(let factor): .multiplied(by: try Self.number(factor, slice))
    }
  }

  private static func number(_ tensor: Tensor, _ slice: LayerClaim.Slice?) throws -> Float {
    let block = try tensor.contents()
    return block.bytes.float32(at: tensor.shape.count == 1 ? 0 : slice?.index ?? 0)
  }
}
