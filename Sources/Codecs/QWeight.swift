import Kernels
import TensorCore

/// The tensors of a module that has a `qweight`, and which layout their shapes allow.
///
/// GPTQ and AWQ share their part names; only shapes tell them apart (`Formats/gptq.md`, GPTQ-2).
struct QWeight {
  enum Layout {
    case gptq, awqGEMM

    /// The rules of the two pages on shapes, bits and group sizes.
    var rules: (shapes: String, bits: String, groups: String) {
      switch self {
      case .gptq: ("GPTQ-2", "GPTQ-3", "GPTQ-4")
      case .awqGEMM: ("AWQ-2", "AWQ-1", "AWQ-4")
      }
    }
  }

  let module: String
  /// The type of the words as they are stored: I32, I16 or I8.
  let wordType: DType
  /// In words of 32 bits, whatever the file has.
  let qweight: Tensor
  let qzeros: Tensor
  let scales: Tensor
  let groupIndex: Tensor?
  let layout: Layout

  /// nil where the module's shapes belong to another layout. Throws `malformed` where a partner
  /// is missing or misshapen.
  init?(_ module: String, in table: TensorTable, _ scheme: Scheme?) throws {
    guard let stored = table["\(module).qweight"], Self.isPacked(module, stored, in: table),
      !AWQGEMV.fits(module, in: table, scheme)
    else { return nil }
    let qweight = try Self.widened(stored)
    func partner(_ part: String) throws -> Tensor {
      guard let tensor = table["\(module).\(part)"] else {
        throw Failure(
          .malformed, at: qweight.source.path, "layer \(module) is incomplete",
          expected: "a tensor \(module).\(part) beside its qweight", found: "none", rule: "GPTQ-1")
      }
      return tensor
    }
    let scales = try partner("scales")
    guard let words = qweight.shape.matrix, let (groups, outputs) = scales.shape.matrix else {
      throw Failure(
        .malformed, at: qweight.place, "the shape of a packed tensor", expected: "two dimensions",
        found: "qweight \(qweight.shape), scales \(scales.shape)", rule: "GPTQ-2")
    }
    if words.columns == outputs {
      layout = .gptq
    } else if words.columns.multiplied(by: 8) == outputs, stored.dtype == .i32 {
      layout = .awqGEMM
    } else {
      return nil
    }
    self.module = module
    wordType = stored.dtype
    self.qweight = qweight
    self.scales = scales
    qzeros = try partner("qzeros")
    groupIndex = table["\(module).g_idx"]
    try checkParts(groups: groups)
  }

  /// Whether codes and zero points are in words of one width that GPTQ has; GEMV_FAST and BitBLAS
  /// have narrow words too, and zero points of another type.
  private static func isPacked(_ module: String, _ words: Tensor, in table: TensorTable) -> Bool {
    guard words.dtype != .i32 else { return true }
    return NarrowWords.width(of: words.dtype) != nil
      && table["\(module).qzeros"]?.dtype == words.dtype
  }

  private static func widened(_ stored: Tensor) throws -> Tensor {
    guard stored.dtype != .i32, stored.shape.matrix != nil else { return stored }
    guard let words = NarrowWords.widened(stored) else {
      throw Failure(
        .unsupported, at: stored.place, "narrow words that end within 32 bits",
        expected: "columns of a multiple of 32 bits", found: "\(stored.shape)", rule: "GPTQ-27")
    }
    return words
  }

  private func checkParts(groups: Int) throws {
    guard groups > 0, scales.shape[1] > 0, qweight.shape.count > 0 else {
      throw Failure(
        .malformed, at: qweight.place, "the layer is empty", rule: layout.rules.shapes)
    }
    guard qzeros.dtype == wordType, qzeros.shape.matrix?.rows == groups else {
      throw Failure(
        .malformed, at: qzeros.place, "zero points don't fit the scales",
        expected: "\(wordType) [\(groups), …]", found: "\(qzeros.dtype) \(qzeros.shape)",
        rule: layout.rules.shapes)
    }
    guard [.f16, .bf16, .f32].contains(scales.dtype) else {
      throw Failure(
        .malformed, at: scales.place, "the type of the scales", expected: "F16, BF16 or F32",
        found: scales.dtype.rawValue, rule: layout.rules.shapes)
    }
  }

  /// Bits of a word as it is stored.
  var wordBits: Int { NarrowWords.width(of: wordType) ?? 32 }
  var groups: Int { scales.shape[0] }
  var outputs: Int { scales.shape[1] }

  /// The group size by the shapes and the config's word, and what there is to say about it.
  func groupSize(
    columns: Int, declared: Scheme.Settings?
  ) throws -> (size: Int, findings: [Finding]) {
    if let declared {
      let size = declared.groupSize == -1 ? columns : declared.groupSize
      // A group wider than the layer is one group of all its columns.
      if size > 0, columns.dividedRoundingUp(by: size) == groups {
        return (min(size, columns), [])
      }
    }
    guard columns % groups == 0 else {
      throw Failure(
        .malformed, at: scales.place, "the number of groups",
        expected: declared.map { "groups of \($0.groupSize) over \(columns) columns" }
          ?? "a number that divides \(columns) columns",
        found: "\(groups)", rule: layout.rules.groups)
    }
    let size = columns / groups
    guard let declared else { return (size, []) }
    let failure = Failure(
      .malformed, at: module, "the config and the tensors disagree on group_size",
      expected: "\(declared.groupSize)", found: "\(size)", rule: layout.rules.groups)
    return (size, [Finding(.error, failure, names: [module])])
  }

  /// A finding where the config declares another bit width than the shapes give.
  func checkBits(_ bits: Int, declared: Scheme.Settings?) -> [Finding] {
    guard let declared, declared.bits != bits else { return [] }
    let failure = Failure(
      .malformed, at: module, "the config and the tensors disagree on bits",
      expected: "\(declared.bits)", found: "\(bits)", rule: layout.rules.bits)
    return [Finding(.error, failure, names: [module])]
  }

  var parts: [String: Tensor] {
    var parts = ["qweight": qweight, "qzeros": qzeros, "scales": scales]
    parts["g_idx"] = groupIndex
    return parts
  }
}
