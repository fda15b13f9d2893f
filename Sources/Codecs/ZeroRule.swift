/// What a GPTQ zero-point field means (`Formats/gptq.md`, GPTQ-10 to GPTQ-12).
public enum ZeroRule: String, Sendable, CaseIterable {
  /// Version 2: the field is the zero point.
  case stored
  /// Version 1 by fields: zero = (field + 1) mod 2^bits, so a full field means 0.
  case mask
  /// Version 1 by fields without a mask: zero = field + 1, so a full field means 2^bits.
  case carry
  /// Version 1 by words: 1 in every field is added to the whole 32-bit word, carries and all,
  /// which undoes a writer that subtracted it from the whole word. 3-bit fields cross words and
  /// are corrected one by one, as by `mask`.
  case word

  /// The rules a user may choose between for a version 1 file of an unknown writer.
  public static let assumable: [ZeroRule] = [.word, .mask, .carry]

  /// The rule that undoes what a known program wrote: GPTQModel and AutoRound subtract from whole
  /// words at 2, 4 and 8 bits, GPTQModel corrects single fields at 3.
  static func known(writer: String?, bits: Int) -> ZeroRule? {
    guard let writer, ["gptqmodel", "auto-round", "autoround"].contains(where: writer.hasPrefix)
    else { return nil }
    return bits == 3 ? .mask : .word
  }
}
