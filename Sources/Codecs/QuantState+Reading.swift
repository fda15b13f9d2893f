internal import TensorCore

extension QuantState {
  /// A text the peer writes has some 200 bytes.
  private static let limits = JSONLimits(
    maxBytes: 4096, maxDepth: 4, maxMembers: 32, maxObjects: 2, maxKeyBytes: 64)

  private static let keys: Set<String> = [
    "quant_type", "blocksize", "dtype", "shape", "nested_blocksize", "nested_dtype",
    "nested_offset",
  ]

  /// Reads the state from its tensor, whose name ends with the table's. Throws `malformed` or
  /// `unsupported`, by the rule that is broken, and `io`.
  init(reading tensor: Tensor, hasNestedParts: Bool) throws {
    let object = try Self.object(tensor)
    let reader = StateReader(object: object, place: tensor.place)
    kind = try reader.kind(named: tensor.name)
    blockSize = try reader.blockSize("blocksize", rule: "BNB-4")
    (rows, columns) = try reader.shape()
    dtype = try reader.type()
    nested = hasNestedParts ? try reader.nested() : nil
    if !hasNestedParts, object["nested_offset"] != nil {
      throw reader.failure(
        "the state is of packed maxima", expected: "nested_absmax and nested_quant_map",
        found: "neither", rule: "BNB-10")
    }
  }

  /// BNB-2: a strict JSON object with known keys.
  private static func object(_ tensor: Tensor) throws -> JSONObject {
    guard tensor.dtype == .u8, tensor.byteCount <= limits.maxBytes else {
      throw Failure(
        .malformed, at: tensor.place, "the state of the weight",
        expected: "U8, at most \(limits.maxBytes) bytes",
        found: "\(tensor.dtype), \(tensor.byteCount)", rule: "BNB-2")
    }
    let block = try tensor.contents()
    let json: JSON
    do {
      json = try JSON(parsing: block.bytes.array, at: tensor.place, limits: limits)
    } catch var failure as Failure where failure.kind == .malformed {
      failure.what = "the state is no JSON (\(failure.rule ?? "")): " + failure.what
      failure.rule = "BNB-2"
      throw failure
    }
    guard let object = json.object, let unknown = object.keys.first(where: { !keys.contains($0) })
    else {
      if let object = json.object { return object }
      throw Failure(
        .malformed, at: tensor.place, "the state", expected: "a JSON object", found: json.text(),
        rule: "BNB-2")
    }
    throw Failure(
      .unsupported, at: tensor.place, "the state has a key that is not known", found: unknown,
      rule: "BNB-2")
  }
}

/// Reads the fields of one state.
private struct StateReader {
  let object: JSONObject
  let place: String

  func failure(
    _ what: String, expected: String, found: String, rule: String,
    kind: Failure.Kind = .malformed
  ) -> Failure {
    Failure(kind, at: place, what, expected: expected, found: found, rule: rule)
  }

  private func spelling(_ key: String) -> String { object[key]?.text() ?? "nothing" }

  /// BNB-3: one of two tables, the one that the tensor is named after.
  func kind(named name: String) throws -> QuantState.Kind {
    guard let text = object["quant_type"]?.string, let kind = QuantState.Kind(rawValue: text) else {
      throw failure(
        "the quant_type", expected: "nf4 or fp4", found: spelling("quant_type"), rule: "BNB-3",
        kind: .unsupported)
    }
    guard name.hasSuffix("bitsandbytes__" + text) else {
      throw failure(
        "the quant_type is not that of the tensor's name",
        expected: "bitsandbytes__\(text) at its end", found: name, rule: "BNB-3")
    }
    return kind
  }

  /// BNB-4: a power of two from 32 to 4096.
  func blockSize(_ key: String, rule: String) throws -> Int {
    guard let size = object[key]?.int, QuantState.blockSizes.contains(size) else {
      throw failure(
        "the \(key)", expected: "a power of two from 32 to 4096", found: spelling(key),
        rule: rule)
    }
    return size
  }

  /// BNB-5: two sizes above 0 whose product fits.
  func shape() throws -> (rows: Int, columns: Int) {
    let sizes = object["shape"]?.array?.map(\.int) ?? []
    guard sizes.count == 2, let rows = sizes[0], let columns = sizes[1], rows > 0, columns > 0,
      let count = rows.multiplied(by: columns), count.multiplied(by: 4) != nil
    else {
      throw failure(
        "the shape of the weight", expected: "[outputs, inputs]", found: spelling("shape"),
        rule: "BNB-5")
    }
    return (rows, columns)
  }

  /// BNB-6: a type the peer dequantizes to.
  func type() throws -> DType {
    let name = object["dtype"]?.string
    guard let type = QuantState.types.first(where: { $0.name == name })?.type else {
      throw failure(
        "the dtype", expected: "float16, bfloat16 or float32", found: spelling("dtype"),
        rule: "BNB-6")
    }
    return type
  }

  /// BNB-10: how packed maxima are unpacked.
  func nested() throws -> QuantState.Nested {
    let size = try blockSize("nested_blocksize", rule: "BNB-10")
    guard object["nested_dtype"]?.string == "float32" else {
      throw failure(
        "the nested_dtype", expected: "float32", found: spelling("nested_dtype"), rule: "BNB-10",
        kind: .unsupported)
    }
    guard let offset = object["nested_offset"]?.double.map({ Float($0) }), offset.isFinite else {
      throw failure(
        "the nested_offset", expected: "a finite number", found: spelling("nested_offset"),
        rule: "BNB-10")
    }
    return QuantState.Nested(blockSize: size, offset: offset)
  }
}
