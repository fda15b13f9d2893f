public import Codecs
internal import Kernels

/// What a conversion is asked to do.
public struct ConversionOptions: Sendable {
  /// The name of the target layout.
  public var target: String
  /// Settles version 1 zero points of unknown writers.
  public var assumeZeros: ZeroRule?
  /// Bytes of tensor data a file may hold.
  public var maxShardBytes = 5_000_000_000
  public var threads = Processor.cores
  /// Whether files are flushed to disk before they take their names.
  public var sync = true
  /// Whether an existing output folder is replaced.
  public var force = false

  public init(target: String) {
    self.target = target
  }
}
