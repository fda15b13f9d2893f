internal import TensorCore

/// Where a config states its rotary embedding: `rope_parameters` as newer configs have it, or
/// `rope_scaling` beside `rope_theta`.
struct RopeFields {
  let config: ConfigFields
  /// The keys of `rope_parameters` or `rope_scaling`; none where there are neither.
  let parameters: ConfigFields
  let defaultBase: Double

  init(_ config: ConfigFields, defaultBase: Double = 10_000) throws {
    self.config = config
    self.defaultBase = defaultBase
    parameters =
      try config.nested("rope_scaling") ?? config.nested("rope_parameters")
      ?? ConfigFields(object: JSONObject(), path: config.path)
  }

  /// Those of one kind of layers, nested in `rope_parameters`.
  init(_ parameters: ConfigFields, of config: ConfigFields, defaultBase: Double) {
    self.config = config
    self.parameters = parameters
    self.defaultBase = defaultBase
  }

  /// Throws `unsupported` for kinds of scaling that are not known, `malformed` for wrong numbers.
  func plan(headSize: Int) throws -> RopePlan {
    let base =
      try parameters.optionalPositive("rope_theta") ?? config.optionalPositive("rope_theta")
      ?? defaultBase
    let share =
      try parameters.optionalPositive("partial_rotary_factor")
      ?? config.optionalPositive("partial_rotary_factor") ?? 1
    let width = Int(min(Double(headSize) * share, Double(headSize)))
    guard width >= 2, width % 2 == 0 else {
      throw Failure(
        .malformed, at: config.path, "the rotary embedding turns an odd count of numbers",
        expected: "an even count up to \(headSize)", found: "\(width)")
    }
    return RopePlan(base: base, width: width, scaling: try scaling(width: width))
  }

  private func scaling(width: Int) throws -> RopePlan.Scaling {
    let kind = try parameters.text("rope_type") ?? parameters.text("type") ?? "default"
    switch kind {
    case "default": return .none
    case "linear": return .linear(factor: try factor())
    case "dynamic":
      guard width > 2 else {
        throw parameters.wrong("rope_type", .string(kind), expected: "more than 2 numbers to turn")
      }
      return .dynamic(
        factor: try factor(), positions: try config.size("max_position_embeddings"))
    case "llama3": return .llama3(try llama3())
    case "yarn": return .yarn(try yarn())
    case "longrope", "su": return .longrope(try longrope(pairs: width / 2))
    default:
      throw Failure(
        .unsupported, at: parameters.path, "the scaling of the rotary embedding is not known",
        expected: "default, linear, dynamic, llama3, yarn, longrope", found: kind)
    }
  }

  private func factor() throws -> Double {
    guard let factor = try parameters.optionalPositive("factor") else {
      throw parameters.missing("factor")
    }
    return factor
  }

  /// The config's own word comes before that of the parameters, as the peer has it.
  private func originalPositions() throws -> Double {
    try config.optionalPositive("original_max_position_embeddings")
      ?? parameters.optionalPositive("original_max_position_embeddings")
      ?? config.number("max_position_embeddings")
  }

  private func llama3() throws -> RopePlan.Llama3 {
    let low = try parameters.number("low_freq_factor")
    let high = try parameters.number("high_freq_factor")
    guard low > 0, high > low else {
      throw parameters.wrong(
        "high_freq_factor", .real(high), expected: "more than low_freq_factor, \(low)")
    }
    return RopePlan.Llama3(
      factor: try factor(), lowFrequencyFactor: low, highFrequencyFactor: high,
      originalPositions: try originalPositions())
  }

  /// The factor, or where there is none the ratio of the positions.
  private func ratio() throws -> Double {
    try parameters.optionalPositive("factor")
      ?? config.number("max_position_embeddings") / originalPositions()
  }

  private func yarn() throws -> RopePlan.Yarn {
    let factor = try ratio()
    let whole = try parameters.optionalPositive("mscale")
    let all = try parameters.optionalPositive("mscale_all_dim")
    func amplitude(_ scale: Double) -> Double {
      factor <= 1 ? 1 : 0.1 * scale * logarithm(factor) + 1
    }
    let found = if let whole, let all { amplitude(whole) / amplitude(all) } else { amplitude(1) }
    return RopePlan.Yarn(
      factor: factor,
      attentionFactor: try parameters.optionalPositive("attention_factor") ?? found,
      originalPositions: try originalPositions(),
      fastRotations: try parameters.optionalPositive("beta_fast") ?? 32,
      slowRotations: try parameters.optionalPositive("beta_slow") ?? 1,
      truncates: try parameters.flag("truncate", true))
  }

  private func longrope(pairs: Int) throws -> RopePlan.LongRope {
    let factor = try ratio()
    let positions = try originalPositions()
    let found = factor <= 1 ? 1 : (1 + logarithm(factor) / logarithm(positions)).squareRoot()
    return RopePlan.LongRope(
      shortFactors: try parameters.numbers("short_factor", count: pairs),
      longFactors: try parameters.numbers("long_factor", count: pairs),
      originalPositions: Int(min(positions, 1e9)),
      attentionFactor: try parameters.optionalPositive("attention_factor") ?? found)
  }
}
