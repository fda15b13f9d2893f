public import Kernels
public import TensorCore

/// One packed layout: how to know it, read it, write it, and how its configs speak of it.
///
/// To add a layout, write one file with a codec and add one line to `Codecs.all`.
public protocol Codec: Sendable {
  /// The name users type after `--to`.
  var name: String { get }
  /// Whether layers can be written in the layout, too. Where they can't, `refusal` says so of every
  /// layer, and `parts` and `config` throw.
  var isWritable: Bool { get }
  /// The rule on configs that do not fit their tensors, of the layout's page.
  var configRule: String { get }
  /// The rule on scales that are not finite.
  var scaleRule: String { get }
  /// Layouts a config may name for layers in this one; a layer under another is a finding.
  var dialects: [String] { get }
  /// Whether its configs say of each layer which parts it has, and leave out every dense one.
  var describesEachLayer: Bool { get }
  /// Whether its configs can say of some layers that they have zero points, or an order of inputs, and others not.
  var describesMixtures: Bool { get }
  /// Whether groups may hold any columns (a real `g_idx`); otherwise they are runs of neighbours.
  var keepsOrder: Bool { get }
  /// Whether its loaders look for packed embeddings as well as packed linear layers.
  var packsEmbeddings: Bool { get }
  /// What its loaders expect of the files around the tensors.
  var habits: FileHabits { get }
  /// Modules that may be stored in this layout, by the names of their tensors alone.
  func candidates(in table: TensorTable) -> [String]
  /// Reads a candidate's shapes: the layers it holds, none where they belong to another layout.
  /// Reads no data. Throws `malformed` where parts are missing or misshapen.
  func claims(
    _ module: String, in table: TensorTable, declared: Declared
  ) throws -> [LayerClaim]
  /// Opens a claimed layer for reading. Reads `g_idx`, not the codes.
  func open(_ claim: LayerClaim, scheme: Scheme?, assume: ZeroRule?) throws -> any PackedLayer
  /// Why this layout can't hold a layer; nil where it can.
  func refusal(of layer: LayerFacts) -> Refusal?
  /// Types the layout's scales may have, the best first; others are cast where that is exact.
  var scaleTypes: [DType] { get }
  /// The largest group size the layout takes that splits the groups of a form exactly; nil where
  /// the groups are fine, or can't be split.
  func splitGroupSize(for form: QuantizedForm) -> Int?
  /// A layer of another layout in the form that this one stores, with the same weights bit for bit;
  /// nil where there is none, or the layer needs no other form. Throws `io`.
  func adopted(_ layer: any PackedLayer, _ workspace: Workspace) throws -> (any PackedLayer)?
  /// The tensors that hold a layer in this layout, in bands; only for layers it does not refuse.
  func parts(of layer: any PackedLayer, options: EncodingOptions) throws -> [EncodedPart]
  /// The scheme of a config in this layout's dialect; nil where it speaks of another layout.
  func scheme(from config: JSONObject) throws -> Scheme?
  /// A scheme with what the layout's loaders want to find in it besides.
  func completed(_ scheme: Scheme) -> Scheme
  /// A scheme in this layout's dialect, as its loaders expect it.
  func config(for scheme: Scheme) throws -> JSONObject
}

/// What the config of a checkpoint says of one module.
public struct Declared: Sendable {
  /// The config; nil where the checkpoint has none.
  public let scheme: Scheme?
  /// How the module is quantized; nil where it is to stay dense.
  public let settings: Scheme.Settings?

  public init(scheme: Scheme?, settings: Scheme.Settings?) {
    self.scheme = scheme
    self.settings = settings
  }
}

extension Codec {
  public var isWritable: Bool { true }
  public var scaleRule: String { "GPTQ-8" }
  public var dialects: [String] { [name] }
  public var describesEachLayer: Bool { false }
  public var describesMixtures: Bool { describesEachLayer }
  public var keepsOrder: Bool { false }
  public var packsEmbeddings: Bool { false }
  public var habits: FileHabits { FileHabits() }
  public var scaleTypes: [DType] { [.f16, .bf16] }
  public func splitGroupSize(for form: QuantizedForm) -> Int? { nil }
  public func adopted(
    _ layer: any PackedLayer, _ workspace: Workspace
  ) throws -> (any PackedLayer)? { nil }
  public func completed(_ scheme: Scheme) -> Scheme { scheme }
}

/// Choices a layout leaves to its writer.
public struct EncodingOptions: Sendable {
  /// MLX: whether scales and biases may be written as F32 where F16 can't hold them.
  public var allowsFloat32Scales = true

  public init() {}
}

/// All layouts, in the order in which they are tried.
public enum Codecs {
  public static let all: [any Codec] = [
    GPTQ.v1, GPTQ.v2, AWQ(), AWQGEMV(), AWQGEMVFast.autoAWQ, AWQGEMVFast.llmAWQ,
    CompressedTensors(), MLX(), HQQ(), FloatCodec.fp8, FloatCodec.mxfp8, FloatCodec.mxfp4,
    FloatCodec.nvfp4, BitsAndBytes(), BitsAndBytesInt8(),
  ]

  /// The layouts that can be written, which users may name after `--to`.
  public static var writable: [any Codec] { all.filter(\.isWritable) }

  public static func named(_ name: String) -> (any Codec)? {
    all.first { $0.name == name }
  }
}

/// Why a layout can't hold a layer, and what would work instead.
public struct Refusal: Sendable, Equatable {
  public let reason: String
  public let remedy: String
  public let rule: String?
  /// Whether it is the order of the layer's inputs that the layout has no place for.
  public let isOfOrder: Bool

  public init(_ reason: String, remedy: String, rule: String? = nil, isOfOrder: Bool = false) {
    self.reason = reason
    self.remedy = remedy
    self.rule = rule
    self.isOfOrder = isOfOrder
  }
}

extension Refusal {
  static func activationOrder(target: String, rule: String) -> Refusal {
    Refusal(
      "its columns are in activation order (a real g_idx), and \(target) has no g_idx",
      remedy: "--to gptq or gptq_v2 keeps the order", rule: rule, isOfOrder: true)
  }

  static func noWholeZeros(target: String, rule: String) -> Refusal {
    Refusal(
      "its offsets are no whole zero points, and \(target) holds no others",
      remedy: "--to dense", rule: rule)
  }
}
