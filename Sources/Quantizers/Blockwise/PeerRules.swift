/// Whose arithmetic holds where bitsandbytes' own paths disagree (`Formats/bitsandbytes.md`, BNB-40
/// to BNB-47).
public enum PeerRules: String, Sendable, CaseIterable {
  /// The CUDA kernels, each division rounded as IEEE 754 says.
  case cuda
  /// The CPU paths of bitsandbytes 0.50 under torch with one thread and AVX2.
  case cpu
}
