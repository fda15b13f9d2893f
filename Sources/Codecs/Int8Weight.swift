import TensorCore

/// The tensors of a module of LLM.int8(), checked.
struct Int8Weight {
  let rows: Int
  let columns: Int
  let codes: Tensor
  let maxima: Tensor
  private let format: Tensor?

  private static let formats = ["row", "col32", "col_turing", "col_ampere"]

  /// Reads the format, one byte. Throws `malformed` or `unsupported` where parts are missing or do
  /// not fit, `io`.
  init(_ module: String, in table: TensorTable) throws {
    func part(_ name: String) throws -> Tensor {
      guard let tensor = table["\(module).\(name)"] else {
        throw Failure(
          .malformed, at: module, "the layer is incomplete", expected: "a tensor \(module).\(name)",
          found: "none", rule: "BNB-20")
      }
      return tensor
    }
    codes = try part("weight")
    maxima = try part("SCB")
    format = table["\(module).weight_format"]
    guard codes.dtype == .i8, let (rows, columns) = codes.shape.matrix, rows > 0, columns > 0 else {
      throw Failure(
        .malformed, at: codes.place, "the codes", expected: "I8 [outputs, inputs]",
        found: "\(codes.dtype) \(codes.shape)", rule: "BNB-20")
    }
    guard maxima.dtype == .f32, maxima.shape.count == rows else {
      throw Failure(
        .malformed, at: maxima.place, "the maxima of rows", expected: "F32 [\(rows)]",
        found: "\(maxima.dtype) \(maxima.shape)", rule: "BNB-20")
    }
    (self.rows, self.columns) = (rows, columns)
    try format.map(Self.check)
  }

  /// BNB-21: rows of codes, and not the tiles of kernels that are gone.
  private static func check(_ format: Tensor) throws {
    guard format.dtype == .u8, format.shape.count == 1 else {
      throw Failure(
        .malformed, at: format.place, "the weight_format", expected: "one U8",
        found: "\(format.dtype) \(format.shape)", rule: "BNB-21")
    }
    let block = try format.contents()
    let number = Int(block.bytes.uint8(at: 0))
    guard number != 0 else { return }
    throw Failure(
      .unsupported, at: format.place, "the weight_format", expected: "0 (row)",
      found: "\(number)" + (number < formats.count ? " (\(formats[number]))" : ""),
      rule: "BNB-21", remedy: "bitsandbytes before 0.45 reads it on the GPU it was made for")
  }

  var parts: [String: Tensor] {
    var parts = ["weight": codes, "SCB": maxima]
    parts["weight_format"] = format
    return parts
  }
}
