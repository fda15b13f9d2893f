import CKernels
internal import TensorCore

/// Tokens as packed products take them: columns in packed order, in f32 or quantized to signed bytes
/// with a scale for each piece, and the sum of each piece.
struct PackedInput: ~Copyable, Sendable {
  let pieces: [ck_packed_piece]
  let stride: Int
  let tokens: Int
  let isInt8: Bool
  let values: AlignedBytes
  let sums: AlignedBytes
  let scales: AlignedBytes

  /// How many columns share a scale of their activations.
  enum Rule: Equatable {
    case float
    /// At most so many neighbouring packed columns of one group.
    case run(Int)
    /// All columns of a token.
    case token
  }

  /// input f32 [tokens][columns].
  init(_ input: RawSpan, tokens: Int, _ columns: PackedColumns, _ rule: Rule) {
    let pieces =
      if case .run(let length) = rule { columns.pieces(of: length) } else {
        columns.longPieces
      }
    let width = columns.packedCount
    var floats = AlignedBytes(count: tokens * width * 4)
    Self.arrange(input, tokens: tokens, columns, into: &floats)
    var sums = AlignedBytes(count: tokens * pieces.count * 4)
    var scales = AlignedBytes(count: rule == .float ? 0 : tokens * pieces.count * 4)
    var codes = AlignedBytes(count: rule == .float ? 0 : tokens * width)
    if rule == .float {
      Self.sum(floats.bytes, tokens: tokens, width, pieces, into: &sums)
    } else {
      Self.quantize(
        floats.bytes, tokens: tokens, width, pieces, isWhole: rule == .token, &codes, &sums,
        &scales)
    }
    self.pieces = pieces
    stride = width
    self.tokens = tokens
    isInt8 = rule != .float
    values = rule == .float ? floats : codes
    self.sums = sums
    self.scales = scales
  }

  private static func arrange(
    _ input: RawSpan, tokens: Int, _ columns: PackedColumns, into floats: inout AlignedBytes
  ) {
    let (from, to) = (columns.count * 4, columns.packedCount * 4)
    var all = floats.mutableBytes
    for token in 0..<tokens {
      let source = input.part(token * from..<(token + 1) * from)
      guard let order = columns.order else {
        var part = all.part(token * to..<token * to + from)
        part.copy(from: source)
        continue
      }
      var part = all.part(token * to..<(token + 1) * to)
      for (place, column) in order.enumerated() where column >= 0 {
        part.set(source.uint32(at: Int(column)), at: place)
      }
    }
  }

  private static func sum(
    _ floats: RawSpan, tokens: Int, _ width: Int, _ pieces: [ck_packed_piece],
    into sums: inout AlignedBytes
  ) {
    var all = sums.mutableBytes
    for token in 0..<tokens {
      var part = all.part(token * pieces.count * 4..<(token + 1) * pieces.count * 4)
      // SAFETY: the pieces cover the token's columns, and each has a sum.
      unsafe lend(floats.part(token * width * 4..<(token + 1) * width * 4), &part) { from, to in
        unsafe pieces.withUnsafeBufferPointer {
          unsafe ck_packed_sums(
            from.assumingMemoryBound(to: Float.self), $0.baseAddress, $0.count,
            to.assumingMemoryBound(to: Float.self))
        }
      }
    }
  }

  private static func quantize(
    _ floats: RawSpan, tokens: Int, _ width: Int, _ pieces: [ck_packed_piece], isWhole: Bool,
    _ codes: inout AlignedBytes, _ sums: inout AlignedBytes, _ scales: inout AlignedBytes
  ) {
    var codeBytes = codes.mutableBytes
    var sumBytes = sums.mutableBytes
    var scaleBytes = scales.mutableBytes
    for token in 0..<tokens {
      let parameters = token * pieces.count * 4..<(token + 1) * pieces.count * 4
      var codes = codeBytes.part(token * width..<(token + 1) * width)
      var sums = sumBytes.part(parameters)
      var scales = scaleBytes.part(parameters)
      let source = floats.part(token * width * 4..<(token + 1) * width * 4)
      // SAFETY: the pieces cover the token's columns, and each has a sum and a scale.
      unsafe lend(source, &codes) { from, to in
        unsafe sums.withUnsafeMutableBytes { sums in
          unsafe scales.withUnsafeMutableBytes { scales in
            unsafe pieces.withUnsafeBufferPointer {
              unsafe ck_packed_quantize(
                from.assumingMemoryBound(to: Float.self), $0.baseAddress, $0.count,
                isWhole ? 1 : 0, to.assumingMemoryBound(to: Int8.self),
                sums.assumingMemoryBound(to: Float.self).baseAddress,
                scales.assumingMemoryBound(to: Float.self).baseAddress)
            }
          }
        }
      }
    }
  }
}
