import Kernels
import TensorCore

/// The tensors of a module in one of compressed-tensors' integer formats, with what their shapes
/// and `weight_shape` say (`Formats/compressed-tensors.md`, CT-1 to CT-8).
struct CompressedWeight {
  enum Storage: Sendable, Equatable {
    /// `pack-quantized`: I32 words along the inputs.
    case packed(WordPacking)
    /// `int-quantized`: one I8 a code.
    case bytes
  }

  let module: String
  let storage: Storage
  let codes: Tensor
  let scale: Tensor
  let shape: Tensor?
  let zeros: Tensor?
  let groupIndex: Tensor?
  let rows: Int
  let columns: Int
  let bits: Int
  let groups: Int

  /// nil where the module is in another layout. Reads the two numbers of `weight_shape`. Throws
  /// `malformed` where a partner is missing or misshapen.
  init?(_ module: String, in table: TensorTable, declared: Declared) throws {
    if let packed = table["\(module).weight_packed"], packed.dtype == .i32 {
      try self.init(module, packed: packed, in: table, declared: declared)
    } else if let bytes = table["\(module).weight"], bytes.dtype == .i8,
      let scale = table["\(module).weight_scale"], scale.isScaleOfIntegers
    {
      try self.init(module, bytes: bytes, scale: scale, in: table)
    } else {
      return nil
    }
  }

  private init(
    _ module: String, packed: Tensor, in table: TensorTable, declared: Declared
  ) throws {
    guard let (rows, words) = packed.shape.matrix, rows > 0 else {
      throw Self.misshapen(packed, "the packed codes", "I32 [outputs, words]", rule: "CT-1")
    }
    func partner(_ part: String) throws -> Tensor {
      guard let tensor = table["\(module).\(part)"] else {
        throw Failure(
          .malformed, at: packed.source.path, "layer \(module) is incomplete",
          expected: "a tensor \(module).\(part) beside its weight_packed", found: "none",
          rule: "CT-1")
      }
      return tensor
    }
    let shape = try partner("weight_shape")
    let columns = try Self.columns(of: shape, rows: rows)
    let packings = Packings(columns: columns, words: words, declared: declared)
    guard let (bits, packing) = packings.best else {
      throw Failure(
        .malformed, at: packed.place, "the words of a row fit no bit width",
        expected: "\(columns) codes of 1 to 8 bits", found: "\(words) words", rule: "CT-2")
    }
    self.module = module
    self.shape = shape
    self.rows = rows
    self.columns = columns
    self.bits = bits
    codes = packed
    storage = .packed(packing)
    scale = try partner("weight_scale")
    groups = try Self.groups(of: scale, rows: rows, columns: columns)
    zeros = table["\(module).weight_zero_point"]
    groupIndex = table["\(module).weight_g_idx"]
    try checkZeros(.i32, rows: packing.words(rows, bits: bits) ?? 0)
    try checkIndex()
  }

  private init(
    _ module: String, bytes: Tensor, scale: Tensor, in table: TensorTable
  ) throws {
    guard let (rows, columns) = bytes.shape.matrix, rows > 0, columns > 0 else {
      throw Self.misshapen(bytes, "the codes", "I8 [outputs, inputs]", rule: "CT-8")
    }
    self.module = module
    self.rows = rows
    self.columns = columns
    self.scale = scale
    bits = 8
    codes = bytes
    storage = .bytes
    shape = nil
    groups = try Self.groups(of: scale, rows: rows, columns: columns)
    zeros = table["\(module).weight_zero_point"]
    groupIndex = table["\(module).weight_g_idx"]
    try checkZeros(.i8, rows: rows)
    try checkIndex()
  }

  var parts: [String: Tensor] {
    let codesName = storage == .bytes ? "weight" : "weight_packed"
    var parts = [codesName: codes, "weight_scale": scale]
    parts["weight_shape"] = shape
    parts["weight_zero_point"] = zeros
    parts["weight_g_idx"] = groupIndex
    return parts
  }
}

extension CompressedWeight {
  private static func misshapen(
    _ tensor: Tensor, _ what: String, _ expected: String, rule: String
  ) -> Failure {
    Failure(
      .malformed, at: tensor.place, "the shape of \(what)", expected: expected,
      found: "\(tensor.dtype) \(tensor.shape)", rule: rule)
  }

  /// CT-3: the unpacked shape is a tensor of two numbers, as rows are padded to whole words.
  private static func columns(of shape: Tensor, rows: Int) throws -> Int {
    guard shape.shape.dimensions == [2], shape.dtype == .i64 || shape.dtype == .i32 else {
      throw misshapen(shape, "weight_shape", "I64 [2]", rule: "CT-3")
    }
    let block = try shape.contents()
    let words = shape.dtype == .i64 ? 2 : 1
    let numbers = (0..<2).map { index in
      let low = UInt64(block.bytes.uint32(at: index * words))
      let high = words == 2 ? UInt64(block.bytes.uint32(at: index * words + 1)) : 0
      return Int(truncatingIfNeeded: high << 32 | low)
    }
    guard numbers[0] == rows, numbers[1] > 0 else {
      throw Failure(
        .malformed, at: shape.place, "weight_shape doesn't fit weight_packed",
        expected: "\(rows) outputs and some inputs", found: "\(numbers)", rule: "CT-3")
    }
    return numbers[1]
  }

  /// CT-4: `[outputs, groups]`; one for each output may lack the axis, one for all may be a scalar.
  private static func groups(of scale: Tensor, rows: Int, columns: Int) throws -> Int {
    let dimensions = scale.shape.dimensions
    guard scale.isScaleOfIntegers else {
      throw misshapen(scale, "the scales", "F16, BF16 or F32", rule: "CT-4")
    }
    if scale.shape.count == 1 || dimensions == [rows] { return 1 }
    guard dimensions.count == 2, dimensions[0] == rows, (1...columns).contains(dimensions[1])
    else {
      throw misshapen(scale, "the scales", "[\(rows), groups]", rule: "CT-4")
    }
    return dimensions[1]
  }

  private func checkZeros(_ dtype: DType, rows: Int) throws {
    guard let zeros else { return }
    let dimensions = zeros.shape.dimensions
    let isShort = storage == .bytes && groups == 1 && zeros.shape.count == scale.shape.count
    guard zeros.dtype == dtype, dimensions == [rows, groups] || isShort else {
      throw Self.misshapen(zeros, "the zero points", "\(dtype) [\(rows), \(groups)]", rule: "CT-6")
    }
  }

  private func checkIndex() throws {
    guard let index = groupIndex else { return }
    guard index.dtype == .i32, index.shape.dimensions == [columns] else {
      throw Self.misshapen(index, "the group index", "I32 [\(columns)]", rule: "CT-7")
    }
  }

  /// CT-5: the group size by the shapes and the config's word, and what there is to say about it.
  func groupSize(declared: Scheme.Settings?) throws -> (size: Int, findings: [Finding]) {
    if groups == 1 { return (columns, []) }
    if let size = declared?.groupSize, size > 0, columns.dividedRoundingUp(by: size) == groups {
      return (size, [])
    }
    guard columns % groups == 0 else {
      throw Failure(
        .malformed, at: scale.place, "the number of groups",
        expected: declared.map { "groups of \($0.groupSize) over \(columns) columns" }
          ?? "a number that divides \(columns) columns",
        found: "\(groups)", rule: "CT-5")
    }
    let size = columns / groups
    guard let declared else { return (size, []) }
    let failure = Failure(
      .malformed, at: module, "the config and the tensors disagree on group_size",
      expected: "\(declared.groupSize)", found: "\(size)", rule: "CT-5")
    return (size, [Finding(.error, failure, names: [module])])
  }

  /// A finding where the config declares another width or another format than the tensors have.
  func checkFormat(declared: Scheme.Settings?) -> [Finding] {
    guard let declared else { return [] }
    var findings: [Finding] = []
    if storage != .bytes && declared.bits != bits {
      let failure = Failure(
        .malformed, at: module, "the config and the tensors disagree on bits",
        expected: "\(declared.bits)", found: "\(bits)", rule: "CT-2")
      findings.append(Finding(.error, failure, names: [module]))
    }
    let format = declared.dialect["format"]?.string ?? "pack-quantized"
    let formats = storage == .bytes ? ["int-quantized", "naive-quantized"] : ["pack-quantized"]
    if !formats.contains(format) {
      let failure = Failure(
        .malformed, at: module, "the config and the tensors disagree on the format",
        expected: format, found: formats[0], rule: "CT-11")
      findings.append(Finding(.error, failure, names: [module]))
    }
    return findings
  }
}

extension Tensor {
  /// Types in which compressed-tensors keeps scales of integer codes.
  fileprivate var isScaleOfIntegers: Bool { [.f16, .bf16, .f32].contains(dtype) }
}

/// The bit widths and packings by which rows of a known length take a known number of words.
private struct Packings {
  let columns: Int
  let words: Int
  let declared: Declared

  /// The declared width in either packing, else any width as one stream. Where both packings take
  /// as many words, the version of the writer decides.
  var best: (Int, WordPacking)? {
    if let bits = declared.settings?.bits, (1...8).contains(bits) {
      let order: [WordPacking] = isOld && 32 % bits != 0 ? [.words, .stream] : [.stream, .words]
      for packing in order where packing.words(columns, bits: bits) == words {
        return (bits, packing)
      }
    }
    let bits = (1...8).first { WordPacking.stream.words(columns, bits: $0) == words }
    return bits.map { ($0, .stream) }
  }

  /// Whether the config names a version before 0.17.
  private var isOld: Bool {
    guard let writer = declared.scheme?.writer, writer.hasPrefix("compressed-tensors:") else {
      return false
    }
    let numbers = writer.dropFirst("compressed-tensors:".count).split(separator: ".")
    guard numbers.count >= 2, numbers[0] == "0", let minor = Int(numbers[1]) else { return false }
    return minor < 17
  }
}
