/// What a safetensors header may ask of a reader before it is refused as unreasonable.
///
/// The numbers are far above every published checkpoint and low enough that a hostile file of the
/// largest legal header can't exhaust memory (Formats/safetensors.md, "Limits").
public struct SafetensorsLimits: Sendable {
  /// Bytes of header JSON (ST-2); the reference reader has the same number.
  public var headerBytes = 100_000_000
  /// Tensors in one file (ST-17).
  public var tensors = 250_000
  /// UTF-8 bytes of one tensor's name (ST-16).
  public var nameBytes = 1_024
  /// Dimensions of one tensor (ST-15).
  public var rank = 32

  public init() {}

  public static let standard = SafetensorsLimits()
}
