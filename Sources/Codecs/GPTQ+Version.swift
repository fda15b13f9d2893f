extension GPTQ.Version: CustomStringConvertible {
  public var description: String { self == .v1 ? "version 1" : "version 2" }
}

extension LayerClaim {
  /// The version of GPTQ the layer is read as; nil for other layouts.
  public var gptqVersion: GPTQ.Version? {
    GPTQ.Version.allCases.first { $0.codec.name == layout }
  }
}
