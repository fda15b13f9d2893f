import TensorCore

/// Names that stand for a whole group of a config, such as `"W4A16": ["Linear"]`
/// (`Formats/compressed-tensors.md`, CT-14).
enum CompressedPreset {
  /// nil where the name leaves its modules dense. Throws `unsupported` for an unknown name.
  static func settings(_ name: String, _ reader: ConfigReader) throws -> Scheme.Settings? {
    let name = name.uppercased()
    if name == "UNQUANTIZED" { return nil }
    if let (settings, format) = fixed[name] { return settings.stored(as: format) }
    guard let (bits, activations) = widths(name), (2...8).contains(bits) else {
      throw reader.unsupported("the preset \(name)")
    }
    let settings = Scheme.Settings(bits: bits, groupSize: 128, symmetric: true)
    // Rounded inputs of 8 bits are what int-quantized is for; either format may follow.
    return activations == 16 ? settings.stored(as: "pack-quantized") : settings
  }

  private static let fixed: [String: (Scheme.Settings, String)] = [
    "W4A16_ASYM": (.init(bits: 4, groupSize: 128, symmetric: false), "pack-quantized"),
    "W8A8": (.init(bits: 8, groupSize: -1, symmetric: true), "int-quantized"),
    "INT8": (.init(bits: 8, groupSize: -1, symmetric: true), "int-quantized"),
    "W4AFP8": (.init(bits: 4, groupSize: 128, symmetric: true), "pack-quantized"),
    "FP8": (.init(bits: 8, groupSize: -1, symmetric: true), "float-quantized"),
    "FP8_DYNAMIC": (.init(bits: 8, groupSize: -1, symmetric: true), "float-quantized"),
    "FP8_BLOCK": (.init(bits: 8, groupSize: -1, symmetric: true), "float-quantized"),
    "NVFP4A16": (.init(bits: 4, groupSize: 16, symmetric: true), "nvfp4-pack-quantized"),
    "NVFP4": (.init(bits: 4, groupSize: 16, symmetric: true), "nvfp4-pack-quantized"),
    "MXFP4A16": (.init(bits: 4, groupSize: 32, symmetric: true), "mxfp4-pack-quantized"),
    "MXFP4": (.init(bits: 4, groupSize: 32, symmetric: true), "mxfp4-pack-quantized"),
    "MXFP8A16": (.init(bits: 8, groupSize: 32, symmetric: true), "mxfp8-quantized"),
    "MXFP8": (.init(bits: 8, groupSize: 32, symmetric: true), "mxfp8-quantized"),
  ]

  /// The numbers of `W4A16`.
  private static func widths(_ name: String) -> (Int, Int)? {
    guard name.hasPrefix("W") else { return nil }
    let parts = name.dropFirst().split(separator: "A", omittingEmptySubsequences: false)
    guard parts.count == 2, let bits = Int(parts[0]), let activations = Int(parts[1]) else {
      return nil
    }
    return (bits, activations)
  }
}

extension Scheme.Settings {
  fileprivate func stored(as format: String) -> Scheme.Settings {
    var settings = self
    settings.dialect["format"] = .string(format)
    return settings
  }
}
