internal import TensorCore

/// The states of one parameter as they lie in a file.
public struct OptimizerEntry: Sendable {
  /// Which states there are, and so which optimizers may have written them.
  public enum Kind: String, Sendable {
    /// SGD, LARS, RMSprop, Adagrad, Lion.
    case one = "one state"
    /// Adam, AdamW, LAMB.
    case two = "two states"
    /// AdEMAMix: two averages stacked in the first, squares in the second.
    case mixed = "two averages and squares"
  }

  public let name: OptimizerName
  public let kind: Kind
  /// 8 or 32.
  public let bits: Int
  /// Values of the parameter.
  public let count: Int
  /// Values that share a scale; nil with 32 bits.
  public let block: Int?
  /// By key: `state1`, `absmax1` and so on.
  let parts: [String: Tensor]

  /// The block sizes the peer has had, the likelier ones first.
  private static let blocks = [256, 2048, 4096, 1024, 512, 128, 64, 32]

  static func isState(_ parts: [String: Tensor]) -> Bool { parts.keys.contains { $0 != "step" } }

  /// Throws `malformed` where the parts do not fit each other (BNBO-3 … BNBO-6), `unsupported` for
  /// the states of older versions that had no blocks (BNBO-7).
  init(name: OptimizerName, parts: [String: Tensor], at path: String) throws {
    (self.name, self.parts) = (name, parts)
    let place = "\(path): state \"\(name.text)\""
    if parts["max1"] != nil || parts["new_max1"] != nil {
      throw Failure(
        .unsupported, at: place, "8-bit states without blocks, as before bitsandbytes 0.50",
        expected: "absmax1", rule: "BNBO-7")
    }
    guard let first = parts["state1"], [.u8, .f32].contains(first.dtype) else {
      throw Failure(
        .malformed, at: place, "no state1 of U8 or F32", found: parts["state1"]?.dtype.rawValue,
        rule: "BNBO-3")
    }
    bits = first.dtype == .u8 ? 8 : 32
    let all = first.shape.count
    let second = parts["state2"]
    count = second?.shape.count ?? all
    switch second {
    case nil: kind = .one
    case let second? where second.dtype == first.dtype && second.shape.count == all: kind = .two
    case let second?
    where second.dtype == first.dtype && second.shape.count.multiplied(by: 2) == all: kind = .mixed
    case let second?:
      throw Failure(
        .malformed, at: second.place, "state2 does not fit state1",
        expected: "\(first.dtype), \(all) values or half of them", rule: "BNBO-3")
    }
    block = bits == 8 ? try Self.block(parts, kind, count, at: place) : nil
  }

  private static func block(
    _ parts: [String: Tensor], _ kind: Kind, _ count: Int, at place: String
  ) throws -> Int {
    var found: [Int] = []
    for number in kind == .one ? [1] : [1, 2] {
      guard let map = parts["qmap\(number)"], let scales = parts["absmax\(number)"] else {
        throw Failure(
          .malformed, at: place, "8-bit states lack their partners",
          expected: "qmap\(number) and absmax\(number)", rule: "BNBO-4")
      }
      guard map.dtype == .f32, map.shape.dimensions == [256] else {
        throw Failure(
          .malformed, at: map.place, "the map has another type or shape", expected: "F32 [256]",
          rule: "BNBO-5")
      }
      let rows = kind == .mixed && number == 1 ? 2 : 1
      found = blocks.filter { scales.shape.count == rows * count.dividedRoundingUp(by: $0) }
        .filter { number == 1 || found.contains($0) }
      guard scales.dtype == .f32, !found.isEmpty else {
        throw Failure(
          .malformed, at: scales.place, "the scales do not fit the values",
          expected: "F32, one for each block of \(count) values",
          found: "\(scales.dtype) \(scales.shape)", rule: "BNBO-6")
      }
    }
    return found[0]
  }

  /// The values of the parameter, stack by stack, of a key: 2 for the first state of AdEMAMix.
  func stacks(of key: String) -> Int { kind == .mixed && key == "state1" ? 2 : 1 }

  /// The states there are: `state1`, `state2`.
  var stateKeys: [String] { kind == .one ? ["state1"] : ["state1", "state2"] }

  /// The keys that 8 bits need beside the states.
  static let partners: Set<String> = ["qmap1", "qmap2", "absmax1", "absmax2"]
}
