/// Which of bitsandbytes' own ways is followed where they differ.
public enum OptimizerRules: String, CaseIterable, Sendable {
  /// Its CUDA kernels.
  case cuda
  /// Its CPU code of 0.50.
  case cpu
}
