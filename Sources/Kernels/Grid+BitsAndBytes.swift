extension Grid {
  /// The 16 values of NF4 (QLoRA, appendix E, as float32): quantiles of a normal distribution, rising
  /// with the code from −1 over 0 at code 7 to 1.
  public static let nf4 = Grid.table(
    name: "nf4",
    values: [
      0xBF80_0000, 0xBF32_39B1, 0xBF06_6B30, 0xBECA_32A0, 0xBE91_A24D, 0xBE3D_353F, 0xBDBA_7871, 0,
      0x3DA2_FAFF, 0x3E24_CAE3, 0x3E7C_04DD, 0x3EAD_033A, 0x3EE1_A4B8, 0x3F10_07AB, 0x3F39_13B3,
      0x3F80_0000,
    ].map(Float.init(bitPattern:)))

  /// The 16 values of bitsandbytes' FP4: bit 3 is the sign, and the magnitudes do not rise with the
  /// code. Not E2M1: code 1 stands for 0.0625/12 and not for 0.5/12. Code 8 is +0.
  public static let fp4 = Grid.table(
    name: "fp4", values: fp4Magnitudes + [0] + fp4Magnitudes.dropFirst().map { -$0 })

  private static let fp4Magnitudes: [Float] = [
    0, 0x3BAA_AAAB, 0x3F2A_AAAB, 0x3F80_0000, 0x3EAA_AAAB, 0x3F00_0000, 0x3E2A_AAAB, 0x3E80_0000,
  ].map(Float.init(bitPattern:))

  /// The signed codes of LLM.int8() plus 128: −128 … 127.
  public static let int8 = Grid.table(name: "int8", values: (-128...127).map { Float($0) })

  /// What LLM.int8() multiplies with behind code · row maximum: 1/127 as float32.
  public static let int8Factor: Float = 7.874015718698502e-3
}
