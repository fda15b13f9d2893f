import Kernels
import TensorCore

/// How HQQ packs codes of a width (HQQ-3): slices of the flat codes, the first in the top bits.
struct HQQPacking {
  let name: String
  let bits: ClosedRange<Int>
  /// Bytes of a word.
  let wordBytes: Int
  /// Bits of a field, and how many there are in a word.
  let fieldBits: Int
  let slices: Int

  static let all = [
    HQQPacking(name: "8bit_u8", bits: 5...8, wordBytes: 1, fieldBits: 8, slices: 1),
    HQQPacking(name: "4bit_u8", bits: 4...4, wordBytes: 1, fieldBits: 4, slices: 2),
    HQQPacking(name: "3bit_32", bits: 3...3, wordBytes: 4, fieldBits: 3, slices: 10),
    HQQPacking(name: "2bit_u8", bits: 2...2, wordBytes: 1, fieldBits: 2, slices: 4),
    HQQPacking(name: "1bit_u8", bits: 1...1, wordBytes: 1, fieldBits: 1, slices: 8),
  ]

  /// Bits below the field of a slice.
  func down(slice: Int) -> Int { (slices - 1 - slice) * fieldBits }
}

/// Which flat elements share a scale (HQQ-4).
enum HQQSpan {
  /// Axis 1: `size` flat neighbours; `columns` of them lie in one row and one group.
  case neighbours(size: Int, columns: Int)
  /// Axis 0: elements `stride` apart, `size` of them.
  case strided(stride: Int, size: Int)

  /// Columns that are sure to share a scale: what the layer is handed out in.
  var columns: Int {
    switch self {
    case .neighbours(_, let columns): columns
    case .strided: 1
    }
  }

  /// The group size as its writer counts.
  var groupSize: Int? {
    switch self {
    case .neighbours(let size, _), .strided(_, let size): size
    }
  }
}

/// What the tensors of an HQQ layer say of it. Reads the small ones among them.
struct HQQFacts {
  let rows: Int
  let columns: Int
  let bits: Int
  let packing: HQQPacking
  /// Words in each slice.
  let words: Int
  let span: HQQSpan
  let codes: Tensor
  let scale: Tensor
  let zero: Tensor
  let parts: [String: Tensor]

  private static let settings = [
    "axis", "channel_wise", "compute_dtype", "encoded_state_dict", "group_size", "nbits",
    "offload_meta", "optimize", "packing", "quant_scale", "quant_zero", "round_zero", "shape",
    "stores_quant_config", "unpack_view_dtype", "view_as_float",
  ]

  /// Throws `malformed` where parts are missing or don't fit each other, `unsupported` for scales
  /// and zero points that are packed themselves, `io`.
  init(_ module: String, in table: TensorTable) throws {
    let reader = HQQReader(module: module, table: table)
    var parts: [String: Tensor] = [:]
    for name in ["W_q", "scale", "zero"] { parts[name] = try reader.tensor(name) }
    for name in Self.settings { parts[name] = table["\(module).\(name)"] }
    self.parts = parts
    codes = try reader.tensor("W_q")
    scale = try reader.tensor("scale")
    zero = try reader.tensor("zero")
    (rows, columns) = try reader.shape()
    bits = try reader.integer("nbits")
    packing = try reader.packing(bits: bits)
    let total = rows * columns
    words = codes.byteCount / packing.wordBytes
    span = try reader.span(total: total, columns: columns, scale)
    try reader.checkParameters(scale, zero)
    try reader.checkCodes(codes, packing, total: total)
  }
}

/// Reads the settings of one HQQ layer.
struct HQQReader {
  let module: String
  let table: TensorTable
  private static let longest = 64

  func failure(
    _ what: String, expected: String, found: String, rule: String,
    kind: Failure.Kind = .malformed
  ) -> Failure {
    Failure(kind, at: module, what, expected: expected, found: found, rule: rule)
  }

  func tensor(_ part: String) throws -> Tensor {
    guard let tensor = table["\(module).\(part)"] else {
      throw failure(
        "the layer is incomplete", expected: "a tensor \(module).\(part)", found: "none",
        rule: "HQQ-2")
    }
    return tensor
  }

  private func small(_ part: String) throws -> (Tensor, [UInt8]) {
    let tensor = try tensor(part)
    guard tensor.byteCount <= Self.longest else {
      throw failure(
        "the setting \(part)", expected: "at most \(Self.longest) bytes",
        found: "\(tensor.byteCount)", rule: "HQQ-2")
    }
    let block = try tensor.contents()
    return (tensor, block.bytes.array)
  }

  /// The whole numbers of an I32 or I64 tensor of `count` elements.
  private func integers(_ part: String, count: Int) throws -> [Int] {
    let (tensor, bytes) = try small(part)
    let size = tensor.dtype == .i32 ? 4 : 8
    guard [.i32, .i64].contains(tensor.dtype), tensor.shape.count == count else {
      throw failure(
        "the setting \(part)", expected: "I32 or I64, \(count) of them",
        found: "\(tensor.dtype) \(tensor.shape)", rule: "HQQ-2")
    }
    return (0..<count).map { index in
      let raw = (0..<size).reduce(UInt64(0)) {
        $0 | UInt64(bytes[index * size + $1]) << UInt64($1 * 8)
      }
      return size == 4
        ? Int(Int32(truncatingIfNeeded: raw)) : Int(Int64(truncatingIfNeeded: raw))
    }
  }

  func integer(_ part: String) throws -> Int { try integers(part, count: 1)[0] }

  /// A setting of one byte; false where there is none.
  private func flag(_ part: String) throws -> Bool {
    guard table.contains("\(module).\(part)") else { return false }
    return try small(part).1.contains { $0 != 0 }
  }

  /// HQQ-2: outputs and inputs, whose product fits.
  func shape() throws -> (rows: Int, columns: Int) {
    let sizes = try integers("shape", count: 2)
    guard sizes[0] > 0, sizes[1] > 0, sizes[0].multiplied(by: sizes[1]) != nil else {
      throw failure(
        "the shape of the weight", expected: "two sizes above 0", found: "\(sizes)",
        rule: "HQQ-2")
    }
    return (sizes[0], sizes[1])
  }

  /// HQQ-3: the packing by its name, which must be one for the width.
  func packing(bits: Int) throws -> HQQPacking {
    let name = String(decoding: try small("packing").1, as: UTF8.self)
    guard let packing = HQQPacking.all.first(where: { $0.name == name }),
      packing.bits.contains(bits)
    else {
      throw failure(
        "the packing of \(bits)-bit codes",
        expected: HQQPacking.all.map(\.name).joined(separator: ", "), found: name, rule: "HQQ-3",
        kind: .unsupported)
    }
    return packing
  }

  /// HQQ-4: the number of scales and the axis give the groups.
  func span(total: Int, columns: Int, _ scale: Tensor) throws -> HQQSpan {
    let count = scale.shape.count
    guard count > 0, total % count == 0 else {
      throw failure(
        "the number of scales", expected: "a number that divides \(total) codes",
        found: "\(count)", rule: "HQQ-4")
    }
    let size = total / count
    if table.contains("\(module).group_size") {
      let declared = try integer("group_size")
      guard declared == size else {
        throw failure(
          "the number of scales", expected: "one for \(declared) codes", found: "one for \(size)",
          rule: "HQQ-4")
      }
    }
    switch try integer("axis") {
    case 1: return .neighbours(size: size, columns: Self.commonDivisor(size, columns))
    case 0: return .strided(stride: count, size: size)
    case let axis:
      throw failure("the axis of groups", expected: "0 or 1", found: "\(axis)", rule: "HQQ-4")
    }
  }

  private static func commonDivisor(_ a: Int, _ b: Int) -> Int {
    var (a, b) = (a, b)
    while b > 0 { (a, b) = (b, a % b) }
    return a
  }

  /// HQQ-5: scales and zero points are plain floats, alike in number.
  func checkParameters(_ scale: Tensor, _ zero: Tensor) throws {
    if try flag("quant_scale") || flag("quant_zero") {
      throw failure(
        "scales and zero points are packed themselves", expected: "plain ones",
        found: "quant_scale or quant_zero", rule: "HQQ-5", kind: .unsupported)
    }
    for tensor in [scale, zero] {
      guard [.f16, .bf16, .f32].contains(tensor.dtype), tensor.shape.count == scale.shape.count
      else {
        throw failure(
          "scales and zero points", expected: "F16, BF16 or F32, \(scale.shape.count) of them",
          found: "\(tensor.dtype) \(tensor.shape)", rule: "HQQ-5")
      }
    }
  }

  /// HQQ-6: every slice is whole. Rows of three-bit codes are filled up to a multiple of ten.
  func checkCodes(_ codes: Tensor, _ packing: HQQPacking, total: Int) throws {
    let words = codes.byteCount / packing.wordBytes
    let isWhole =
      packing.slices == 10
      ? Self.holdsPaddedRows(codes, total: total)
      : words.multiplied(by: packing.slices) == total
    guard codes.byteCount % packing.wordBytes == 0, isWhole else {
      throw failure(
        "packed codes don't fit the shape",
        expected: "\(total) codes, \(packing.slices) in a word of \(packing.wordBytes) bytes",
        found: "\(codes.dtype) \(codes.shape)", rule: "HQQ-6")
    }
  }

  private static func holdsPaddedRows(_ codes: Tensor, total: Int) -> Bool {
    guard codes.dtype == .i32, let (rows, columns) = codes.shape.matrix, columns > 0 else {
      return false
    }
    return total % columns == 0 && (total / columns).dividedRoundingUp(by: 10) == rows
  }
}
