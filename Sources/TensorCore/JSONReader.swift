internal import CJSONC

extension JSON {
  /// Reads a JSON text under the rules of `JSONRule`.
  ///
  /// Keys keep their order and numbers their spelling, except that the integer `-0` reads as `0`.
  /// Throws `malformed` at `place`, byte N, for anything else. O(n log n) in the bytes at worst.
  public init(parsing bytes: [UInt8], at place: String, limits: JSONLimits = .config) throws {
    let document = try JSONValidator.check(bytes, at: place, limits: limits)
    let tree = try ParsedJSON.parse(bytes, document, at: place, depth: limits.usableDepth)
    guard let value = tree.value else {
      throw Failure.json(
        .parserAgrees, at: place, byte: document.lowerBound,
        "the parser made something that is not JSON")
    }
    self = value
  }
}

/// A tree of json-c, owned until it goes out of scope.
@safe
private struct ParsedJSON: ~Copyable {
  /// nil for the value `null`.
  private let root: OpaquePointer?

  @unsafe
  private init(root: OpaquePointer?) {
    // SAFETY: the caller hands over the only reference.
    unsafe self.root = root
  }

  /// Parses `bytes[document]`, which the validator has taken.
  static func parse(
    _ bytes: [UInt8], _ document: Range<Int>, at place: String, depth: Int
  ) throws -> ParsedJSON {
    // SAFETY: the tokener lives until the defer; json-c counts the value itself as a level.
    guard let tokener = unsafe json_tokener_new_ex(Int32(depth) + 1) else {
      throw Failure(.io, at: place, "no memory is left for the parser")
    }
    defer { unsafe json_tokener_free(tokener) }
    unsafe json_tokener_set_flags(tokener, JSON_TOKENER_STRICT)
    let tree = unsafe ParsedJSON(root: feed(bytes, document, to: tokener))
    let code = unsafe json_tokener_get_error(tokener)
    guard code == json_tokener_success else {
      let offset = document.lowerBound + Int(unsafe json_tokener_get_parse_end(tokener))
      // SAFETY: json-c returns a constant string.
      let reason = unsafe String(cString: json_tokener_error_desc(code))
      throw Failure.json(
        .parserAgrees, at: place, byte: offset, "the parser refuses the text", found: reason)
    }
    return tree
  }

  /// The value that json-c makes, now the caller's; NULL for `null` and for errors.
  @unsafe
  private static func feed(
    _ bytes: [UInt8], _ document: Range<Int>, to tokener: UnsafeMutablePointer<json_tokener>
  ) -> OpaquePointer? {
    // SAFETY: the validator keeps `document` inside of `bytes` and its length inside of a C int.
    unsafe bytes.withUnsafeBytes { buffer in
      let text = unsafe buffer.baseAddress!.assumingMemoryBound(to: CChar.self)
      let value = unsafe json_tokener_parse_ex(
        tokener, text + document.lowerBound, Int32(document.count))
      guard unsafe json_tokener_get_error(tokener) == json_tokener_continue else {
        return unsafe value
      }
      // A number that is all of the text ends only where the parser is told so.
      return unsafe json_tokener_parse_ex(tokener, "", 1)
    }
  }

  deinit {
    // SAFETY: the root is owned here alone; json-c takes NULL.
    unsafe _ = json_object_put(root)
  }

  /// A copy of the tree; nil where it holds a type json-c does not have.
  var value: JSON? {
    // SAFETY: the root lives as long as self.
    unsafe Self.value(root)
  }

  /// Recurses as deep as the document, which the validator has limited.
  @unsafe
  private static func value(_ node: OpaquePointer?) -> JSON? {
    // SAFETY: `node` is a live json-c value, NULL for null, and lives through this call.
    guard let node = unsafe node else { return .null }
    switch unsafe json_object_get_type(node) {
    case json_type_boolean: return unsafe .bool(json_object_get_boolean(node) != 0)
    case json_type_int: return unsafe .number(integer(node))
    case json_type_double:
      return unsafe .number(String(cString: json_object_get_string(node)))
    case json_type_string: return unsafe .string(string(node))
    case json_type_array: return unsafe array(node)
    case json_type_object: return unsafe object(node)
    default: return nil
    }
  }

  /// json-c answers `Int64.max` for what only fits in `UInt64`.
  @unsafe
  private static func integer(_ node: OpaquePointer) -> String {
    // SAFETY: `node` is a live integer.
    let signed = unsafe json_object_get_int64(node)
    return signed < Int64.max ? String(signed) : unsafe String(json_object_get_uint64(node))
  }

  @unsafe
  private static func string(_ node: OpaquePointer) -> String {
    // SAFETY: `node` is a live string; its bytes live as long and are copied here.
    let start = unsafe UnsafeRawPointer(json_object_get_string(node))
    let count = unsafe Int(json_object_get_string_len(node))
    return unsafe String(
      decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
  }

  @unsafe
  private static func array(_ node: OpaquePointer) -> JSON? {
    // SAFETY: `node` is a live array and the indices are below its length.
    let count = unsafe json_object_array_length(node)
    var elements: [JSON] = []
    elements.reserveCapacity(Int(count))
    for index in 0..<count {
      guard let element = unsafe value(json_object_array_get_idx(node, index)) else { return nil }
      elements.append(element)
    }
    return .array(elements)
  }

  @unsafe
  private static func object(_ node: OpaquePointer) -> JSON? {
    // SAFETY: `node` is a live object; its entries are linked in the order of the text, and keys
    // end with NUL and hold none.
    guard let table = unsafe json_object_get_object(node) else { return nil }
    var members: [JSONObject.Member] = []
    members.reserveCapacity(Int(unsafe table.pointee.count))
    var next = unsafe table.pointee.head
    while let entry = unsafe next {
      let key = unsafe String(cString: entry.pointee.k.assumingMemoryBound(to: CChar.self))
      let node = unsafe OpaquePointer(entry.pointee.v)
      guard let value = unsafe value(node) else { return nil }
      members.append(JSONObject.Member(key: key, value: value))
      unsafe next = entry.pointee.next
    }
    return .object(JSONObject(uniqueMembers: members))
  }
}
