public import Codecs
internal import Kernels
public import Quantizers
public import TensorCore

/// How the linear layers of a dense checkpoint become integers, by which method, and into which layouts.
public struct WeightQuantization: Sendable {
  /// A method by the name users type.
  public enum Method: String, Sendable, CaseIterable {
    /// Rounding to nearest: no calibration.
    case rtn
    /// Error feedback by the inputs' second moments.
    case gptq
    /// Scales of salient inputs, folded into what comes before, and clipped ranges.
    case awq
    /// AWQ's folds and then GPTQ's rounding.
    case awqGPTQ = "awq+gptq"

    public var isCalibrated: Bool { self != .rtn }
    public var folds: Bool { self == .awq || self == .awqGPTQ }
    public var feedsBack: Bool { self == .gptq || self == .awqGPTQ }

    /// The layout that is written where none is named.
    public var usualFormat: String { folds ? "awq" : "gptq" }
  }

  /// Whose habits hold in AWQ's searches where they differ.
  public typealias AWQRules = Quantizers.AWQ.Rules

  public var method: Method
  /// The layouts to write, by codec.
  public var formats: [any Codec]
  public var bits = 4
  /// Columns that share a scale; -1: one scale a row.
  public var groupSize = 128
  /// nil is the method's own habit: AWQ's ranges have zero points of their own, the others' none.
  public var symmetric: Bool?
  /// GPTQ takes columns in order of their activations, and groups as it takes them.
  public var actOrder = false
  /// Groups are runs of neighbours, and ranges found before, whatever the order.
  public var staticGroups = false
  /// GPTQ takes columns in order inside of their groups; nil: where neither order is asked for.
  public var groupAware: Bool?
  /// GPTQ finds a group's range from weights that hold all errors made so far, those of their own block
  /// too; as published they hold those of earlier blocks only.
  public var compensatesRanges = false
  /// Linear layers of a block see what their predecessors in it have become.
  public var trueSequential = true
  /// The norm of errors that ranges are searched by; 0 takes the whole range; nil is the method's own habit: 2.4 for
  /// GPTQ, whose perplexity that lowers at every width and group size that was measured, the whole range to round to
  /// nearest.
  public var mse: Double?
  /// Whether errors count as much as their inputs do in that search, by the mean of x² (an importance matrix).
  public var weightsRanges = false
  /// Codes of 2-bit layers take three values only: −scale, 0 and scale.
  public var isTernary = false
  /// α of GPTAQ: how far GPTQ answers for what the layers before have changed of a layer's inputs; nil: not at
  /// all.
  public var asymmetry: Double?
  /// Parts of the mean of the diagonal that are added to it, and the step where that is too little.
  public var dampPercent = 0.05
  public var dampIncrement = 0.01
  /// Tokens that AWQ's clip search looks at; nil: all, through their second moments.
  public var clipTokens: Int?
  /// Whether AWQ clips ranges.
  public var clips = true
  /// Whose habits hold in AWQ's searches where they differ.
  public var awqRules = AWQRules.best
  /// One α for AWQ's scales instead of the search, mean|x|^α without the weights' share; nil: searched.
  public var awqRatio: Double?
  public var overrides: [ModuleOverride] = []
  public var skipped: [NamePattern] = []
  public var quantizesHead = false
  /// Whether what would be mended and listed ends the run instead.
  public var strict = false
  public var scaleType: DType = .f16
  /// What hidden states between blocks are kept in: f32, or bf16 in half of the memory.
  public var hiddenType: DType = .f32
  /// What second moments are summed and kept in, f32 or f64, and factored in where f64.
  public var hessianType: DType = .f32
  /// An expert that saw fewer tokens is rounded to nearest.
  public var minExpertTokens = 64

  /// A method and layouts by their names; without any, the layout that goes by the method's name. Throws `usage`.
  public init(method name: String, formats names: [String]? = nil) throws {
    guard let method = Method(rawValue: name) else {
      throw Failure(
        .usage, at: "--method", "no such method",
        expected: Self.allMethods.joined(separator: ", "), found: name)
    }
    let names = names ?? [method.usualFormat]
    guard !names.isEmpty else {
      throw Failure(
        .usage, at: "--format", "names the layouts to write",
        expected: Self.formatNames.joined(separator: ", "), found: "none")
    }
    formats = try names.map { name in
      guard Self.formatNames.contains(name), let codec = Codecs.named(name) else {
        throw Failure(
          .usage, at: "--format", "no layout that these methods write",
          expected: Self.formatNames.joined(separator: ", "), found: name)
      }
      return codec
    }
    if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
      throw Failure(.usage, at: "--format", "a layout is named twice", found: twice)
    }
    self.method = method
  }

  /// Layouts of whole codes with scales and zero points.
  public static let formatNames = [
    "gptq", "gptq_v2", "awq", "awq_gemv", "awq_gemv_fast", "compressed-tensors", "mlx",
  ]

  /// All methods of the verb, bitsandbytes' too.
  public static var allMethods: [String] {
    Method.allCases.map(\.rawValue) + Quantization.Method.allCases.map(\.rawValue)
  }

  /// Whether the model is run, or statistics are given.
  public var isCalibrated: Bool { method.isCalibrated || takesMoments }

  public var isSymmetric: Bool { symmetric ?? !method.folds }

  /// The norm of errors that ranges are searched by; 0: none.
  public var norm: Double { mse ?? (takesMoments ? 2.4 : 0) }

  var hessianPrecision: SquareMatrix.Precision { hessianType == .f64 ? .double : .single }

  var usesGroupAware: Bool { groupAware ?? (method.feedsBack && !actOrder && !staticGroups) }

  /// Whether GPTQ takes a module's columns in order of their activations.
  func isOrdered(_ module: String) -> Bool {
    method.feedsBack && (override(for: module)?.actOrder ?? actOrder)
  }

  /// The same inside of groups.
  func isGroupAware(_ module: String) -> Bool {
    groupAware ?? (method.feedsBack && !isOrdered(module) && !staticGroups)
  }

  /// The first that matches.
  func override(for module: String) -> ModuleOverride? {
    overrides.first { $0.modules.matchesPrefix(of: module) }
  }

  /// What holds for a module. With `actOrder` columns come to lie in groups that are no runs: the layouts must have
  /// a `g_idx`.
  func settings(for module: String) -> Scheme.Settings {
    let base = Scheme.Settings(
      bits: bits, groupSize: groupSize, symmetric: isSymmetric,
      actOrder: isOrdered(module) && !staticGroups)
    return override(for: module)?.applied(to: base) ?? base
  }

  func skips(_ module: String) -> Bool {
    skipped.contains { $0.matchesPrefix(of: module) }
  }
}

extension WeightQuantization {
  /// Throws `usage` for settings that contradict each other or that no numbers can follow.
  public func check() throws {
    for settings in [settings(for: "")] + overrides.map({ $0.applied(to: settings(for: "")) }) {
      try Self.check(settings)
    }
    guard
      method.feedsBack
        || !(actOrder || staticGroups || groupAware == true || compensatesRanges
          || overrides.contains { $0.actOrder == true })
    else {
      throw Failure(
        .usage, at: "--method", "columns have an order only in gptq",
        expected: "gptq or awq+gptq", found: method.rawValue)
    }
    guard groupAware != true || !actOrder && !overrides.contains(where: { $0.actOrder == true })
    else {
      throw Failure(
        .usage, at: "--act-group-aware", "can't be had with --desc-act",
        expected: "one order of columns", found: "two")
    }
    guard dampPercent > 0, dampPercent < 1, dampIncrement >= 0, dampIncrement < 1 else {
      throw Failure(
        .usage, at: "--damp-percent", "no part of a diagonal", expected: "more than 0, below 1",
        found: "\(dampPercent) and steps of \(dampIncrement)")
    }
    guard method.folds || clipTokens == nil && clips && awqRules == .best && awqRatio == nil
    else {
      throw Failure(
        .usage, at: "--method", "only awq scales and clips", expected: "awq or awq+gptq",
        found: method.rawValue)
    }
    guard clipTokens.map({ $0 > 0 }) ?? true else {
      throw Failure(.usage, at: "--clip-tokens", "no number of tokens", found: "\(clipTokens ?? 0)")
    }
    guard awqRatio.map({ (0...1).contains($0) }) ?? true else {
      throw Failure(
        .usage, at: "--awq-ratio", "no such power", expected: "0 to 1", found: "\(awqRatio ?? 0)")
    }
    try checkRanges()
    guard norm == 0 || (1...8).contains(norm) else {
      throw Failure(
        .usage, at: "--mse", "no norm of errors", expected: "0, or 1 to 8", found: "\(norm)")
    }
    guard [.bf16, .f32].contains(hiddenType) else {
      throw Failure(
        .usage, at: "--hidden-dtype", "no type of hidden states", expected: "bf16 or f32",
        found: hiddenType.rawValue)
    }
    guard hessianType == .f32 || hessianType == .f64 && takesMoments else {
      throw Failure(
        .usage, at: "--hessian-dtype",
        takesMoments ? "no type of second moments" : "the method takes no second moments",
        expected: takesMoments ? "f32 or f64" : "gptq, awq+gptq, or rtn with --weighted-ranges",
        found: takesMoments ? hessianType.rawValue : method.rawValue)
    }
    guard [.f16, .bf16, .f32].contains(scaleType) else {
      throw Failure(
        .usage, at: "--scale-dtype", "no type of scales", expected: "f16, bf16 or f32",
        found: scaleType.rawValue)
    }
  }

  private func checkRanges() throws {
    guard !weightsRanges || norm != 0 else {
      throw Failure(
        .usage, at: "--weighted-ranges", "ranges are searched only by a norm of errors",
        expected: "--mse of 1 to 8", found: "0")
    }
    guard !method.folds || !weightsRanges && !isTernary else {
      throw Failure(
        .usage, at: "--method", "awq clips ranges by its own search, of codes with a zero point",
        expected: "rtn or gptq", found: method.rawValue)
    }
    let areSymmetric = overrides.allSatisfy { $0.symmetric != false || ($0.bits ?? bits) != 2 }
    guard !isTernary || bits == 2 && isSymmetric && areSymmetric else {
      throw Failure(
        .usage, at: "--ternary", "three values take two bits and one zero point",
        expected: "--bits 2 --sym",
        found: "\(bits) bits, \(isSymmetric && areSymmetric ? "symmetric" : "asymmetric")")
    }
    guard asymmetry.map({ method.feedsBack && (0...1).contains($0) }) ?? true else {
      throw Failure(
        .usage, at: "--gptaq", "no share of what inputs have changed by",
        expected: "0 to 1, with gptq", found: "\(asymmetry ?? 0) with \(method.rawValue)")
    }
  }

  private static func check(_ settings: Scheme.Settings) throws {
    guard (2...8).contains(settings.bits) else {
      throw Failure(
        .usage, at: "--bits", "no such width of codes", expected: "2 to 8",
        found: "\(settings.bits)")
    }
    guard settings.groupSize == -1 || settings.groupSize >= 8 && settings.groupSize % 8 == 0 else {
      throw Failure(
        .usage, at: "--group-size", "no such size of groups",
        expected: "-1 for whole rows, or a multiple of 8", found: "\(settings.groupSize)")
    }
  }

  /// What decides the numbers, for manifests, fingerprints and reports.
  var json: JSONObject {
    JSONObject([
      "method": .string(method.rawValue), "bits": .integer(bits),
      "group_size": .integer(groupSize), "sym": .bool(isSymmetric),
      "desc_act": .bool(actOrder), "static_groups": .bool(staticGroups),
      "act_group_aware": .bool(usesGroupAware), "true_sequential": .bool(trueSequential),
      "compensate_ranges": .bool(compensatesRanges), "mse": .real(norm),
      "weighted_ranges": .bool(weightsRanges), "ternary": .bool(isTernary),
      "gptaq_alpha": asymmetry.map { .real($0) } ?? .null,
      "damp_percent": .real(dampPercent),
      "damp_auto_increment": .real(dampIncrement),
      "clip_tokens": clipTokens.map { .integer($0) } ?? .null, "clip": .bool(clips),
      "awq_rules": .string(awqRules.rawValue), "awq_ratio": awqRatio.map { .real($0) } ?? .null,
      "overrides": .strings(overrides.map(\.text)), "skip": .strings(skipped.map(\.text)),
      "lm_head": .bool(quantizesHead), "scale_type": .string(scaleType.rawValue),
      "hidden_type": .string(hiddenType.rawValue), "hessian_type": .string(hessianType.rawValue),
      "min_expert_tokens": .integer(minExpertTokens), "strict": .bool(strict),
    ])
  }
}
