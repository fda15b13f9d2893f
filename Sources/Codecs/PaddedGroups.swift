internal import Kernels
internal import TensorCore

/// How AWQ's GEMV layouts pad the groups of a row (`Formats/awq_gemv.md`, GEMV-3): zero points take
/// `width` words of eight, scales 8 × `width` columns; the real groups come first.
enum PaddedGroups {
  /// Words of eight zero points over `columns` inputs; nil where the layouts have no such groups.
  static func width(columns: Int, size: Int) -> Int? {
    guard size > 0, columns > 0, columns % size == 0 else { return nil }
    let multiple: Int
    switch size {
    case 32: multiple = 4
    case 64: multiple = 2
    case 128...: multiple = 1
    default: return nil
    }
    return (columns / size).dividedRoundingUp(by: 8).dividedRoundingUp(by: multiple) * multiple
  }

  /// The group size of a row of `width` words: the config's word where it fits, otherwise the
  /// common size that does, with a finding. Throws `malformed` where none fits.
  static func size(
    columns: Int, width: Int, declared: Scheme.Settings?, module: String, rule: String
  ) throws -> (size: Int, findings: [Finding]) {
    if let declared {
      let size = declared.groupSize == -1 ? columns : declared.groupSize
      if self.width(columns: columns, size: size) == width { return (size, []) }
    }
    guard
      let size = [128, 64, 32, columns].first(where: {
        self.width(columns: columns, size: $0) == width
      })
    else {
      throw Failure(
        .malformed, at: module, "padded groups",
        expected: "the width of groups of 32, 64, 128 or more over \(columns) columns",
        found: "\(width) words of eight", rule: rule)
    }
    guard let declared else { return (size, []) }
    let failure = Failure(
      .malformed, at: module, "the config and the tensors disagree on group_size",
      expected: "\(declared.groupSize)", found: "\(size)", rule: rule)
    return (size, [Finding(.error, failure, names: [module])])
  }

  /// The largest size the layouts have that splits the groups of a form exactly; nil where its
  /// own size will do, or none does.
  static func splitSize(for form: QuantizedForm) -> Int? {
    guard case .columns(let size) = form.grouping,
      width(columns: form.columns, size: size) == nil
    else { return nil }
    return (1...max(size / 32, 1)).lazy.filter { size % $0 == 0 }.map { size / $0 }.first {
      width(columns: form.columns, size: $0) != nil
    }
  }

  /// What both layouts refuse alike: other widths, a real group index, other group sizes.
  static func refusal(of form: QuantizedForm, in name: String, rules: String) -> Refusal? {
    guard case .affine(bits: 4) = form.grid else {
      return Refusal(
        "\(name) holds whole codes of 4 bits, these have \(form.grid.bits)",
        remedy: "--to gptq or gptq_v2", rule: "\(rules)-1")
    }
    guard case .columns(let size) = form.grouping else {
      return .activationOrder(target: name, rule: "\(rules)-5")
    }
    guard width(columns: form.columns, size: size) != nil else {
      return Refusal(
        "\(name) has groups of 32, 64, 128 or more that divide \(form.columns) columns, "
          + "these have \(size)", remedy: "--to awq or gptq", rule: "\(rules)-3")
    }
    return nil
  }
}
