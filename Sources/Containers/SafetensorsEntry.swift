internal import TensorCore

/// One tensor's entry in a safetensors header, its own rules checked (ST-6, ST-9 … ST-16).
struct SafetensorsEntry {
  let info: TensorInfo
  /// Bytes from the start of the data: `begin <= end`.
  let begin: Int
  let end: Int
  /// The entry's place in the header text.
  let position: Int

  init(
    name: String, value: JSON, position: Int, at place: String, limits: SafetensorsLimits
  ) throws {
    let fields = try Fields(name: name, value: value, at: place, limits: limits)
    let dtype = try fields.dtype()
    let shape = try fields.shape(limits: limits)
    (begin, end) = try fields.offsets()
    info = try fields.info(dtype, shape, byteCount: end - begin)
    self.position = position
  }
}

/// The three fields of an entry, and the words for what is wrong with them.
private struct Fields {
  let name: String
  let place: String
  private let dtypeField: JSON
  private let shapeField: JSON
  private let offsetsField: JSON

  init(name: String, value: JSON, at place: String, limits: SafetensorsLimits) throws {
    self.name = name
    self.place = place
    guard (1...limits.nameBytes).contains(name.utf8.count) else {
      throw Failure(
        .malformed, at: "\(place): tensor \"\(name.prefix(64))\"",
        "the name's length is out of bounds", expected: "1 … \(limits.nameBytes) bytes",
        found: "\(name.utf8.count)", rule: "ST-16")
    }
    guard let object = value.object, let dtype = object["dtype"], let shape = object["shape"],
      let offsets = object["data_offsets"]
    else {
      throw Failure(
        .malformed, at: "\(place): tensor \"\(name)\"", "the entry is incomplete",
        expected: "an object of dtype, shape and data_offsets", rule: "ST-6")
    }
    (dtypeField, shapeField, offsetsField) = (dtype, shape, offsets)
    guard object.members.count == 3 else {
      let extra = object.keys.first { !["dtype", "shape", "data_offsets"].contains($0) } ?? ""
      throw failure("the entry has an unknown field", found: "\"\(extra)\"", rule: "ST-6")
    }
  }

  func dtype() throws -> DType {
    guard let dtype = dtypeField.string.flatMap(DType.init(rawValue:)) else {
      throw failure(
        "unknown dtype", expected: "one of the 22 names of the format, in capitals",
        found: dtypeField.text(), rule: "ST-10")
    }
    return dtype
  }

  func shape(limits: SafetensorsLimits) throws -> Shape {
    guard let values = shapeField.array else {
      throw failure("the shape is no array", found: shapeField.text(), rule: "ST-11")
    }
    guard values.count <= limits.rank else {
      throw failure(
        "too many dimensions", expected: "at most \(limits.rank)", found: "\(values.count)",
        rule: "ST-15")
    }
    let dimensions = try values.map { value in
      guard let dimension = value.size else {
        throw failure(
          "a dimension is no plain non-negative integer", found: value.text(), rule: "ST-11")
      }
      return dimension
    }
    guard let shape = Shape(dimensions) else {
      throw failure("the number of elements overflows", found: "\(dimensions)", rule: "ST-12")
    }
    return shape
  }

  func offsets() throws -> (Int, Int) {
    guard let values = offsetsField.array, values.count == 2, let begin = values[0].size,
      let end = values[1].size, begin <= end
    else {
      throw failure(
        "data_offsets are not two plain integers in order", expected: "[begin, end]",
        found: offsetsField.text(), rule: "ST-14")
    }
    return (begin, end)
  }

  func info(_ dtype: DType, _ shape: Shape, byteCount: Int) throws -> TensorInfo {
    guard let info = TensorInfo(name: name, dtype: dtype, shape: shape) else {
      throw shape.count.multiplied(by: dtype.bits) == nil
        ? failure("the number of bits overflows", found: "\(dtype) \(shape)", rule: "ST-12")
        : failure("the bits are not whole bytes", found: "\(dtype) \(shape)", rule: "ST-13")
    }
    guard info.byteCount == byteCount else {
      throw failure(
        "\(dtype) \(shape) and data_offsets disagree", expected: "\(info.byteCount) bytes",
        found: "\(byteCount)", rule: "ST-9")
    }
    return info
  }

  private func failure(
    _ what: String, expected: String? = nil, found: String? = nil, rule: String
  ) -> Failure {
    Failure(
      .malformed, at: "\(place): tensor \"\(name)\"", what, expected: expected,
      found: found.map { $0.count > 80 ? $0.prefix(80) + "…" : $0 }, rule: rule)
  }
}

extension JSON {
  /// A non-negative integer spelled with digits alone: not `1.0`, `1e0` or `-0`; nil above 2⁶³−1.
  var size: Int? {
    guard case .number(let text) = self, text.utf8.allSatisfy({ 48...57 ~= $0 }) else { return nil }
    return Int(text)
  }
}
