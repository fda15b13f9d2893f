internal import Kernels
internal import Quantizers
internal import TensorCore

/// The scales and the map of one 8-bit state, and its values a band at a time.
struct StateBlocks: Sendable {
  let state: Tensor
  let count: Int
  let stacks: Int
  let block: Int
  let map: [Float]
  let scales: [Float]
  private let rules: PeerRules

  /// Reads scales and map. Throws `malformed` where one is no number (BNBO-8).
  init(_ entry: OptimizerEntry, _ key: String, rules: PeerRules) throws {
    guard let state = entry.parts[key], let block = entry.block,
      let map = entry.parts["qmap" + key.suffix(1)],
      let scales = entry.parts["absmax" + key.suffix(1)]
    else { preconditionFailure("the entry was checked") }
    (self.state, self.block, self.rules) = (state, block, rules)
    (count, stacks) = (entry.count, entry.stacks(of: key))
    self.map = try Self.floats(map) { $0.isFinite && $0.magnitude <= 1 }
    self.scales = try Self.floats(scales) { $0.isFinite && $0 >= 0 }
  }

  private static func floats(_ tensor: Tensor, _ isFine: (Float) -> Bool) throws -> [Float] {
    let contents = try tensor.contents()
    let bytes = contents.bytes
    let values = (0..<tensor.shape.count).map { bytes.float32(at: $0) }
    if let index = values.firstIndex(where: { !isFine($0) }) {
      throw Failure(
        .malformed, at: "\(tensor.place), element \(index)",
        "a scale or a map value is out of range",
        expected: "a finite number; scales >= 0, maps within -1 … 1", found: "\(values[index])",
        rule: "BNBO-8")
    }
    return values
  }

  /// Where the scale of a block is: the CUDA kernels look for those of a second stack at
  /// ⌊count/block⌋, one place early unless blocks divide the count (BNBO-9).
  static func scaleIndex(
    _ index: Int, stack: Int, count: Int, block: Int, rules: PeerRules
  ) -> Int {
    guard stack == 1 else { return index }
    return index + (rules == .cuda ? count / block : count.dividedRoundingUp(by: block))
  }

  /// The scales of blocks of a stack.
  func scales(_ range: Range<Int>, stack: Int) -> [Float] {
    range.map {
      scales[Self.scaleIndex($0, stack: stack, count: count, block: block, rules: rules)]
    }
  }
}

/// A state cut into bands of whole blocks, for one thread each.
struct StateBands: Sendable {
  let count: Int
  let stacks: Int
  let block: Int

  /// About a million values.
  private var blocksOfBand: Int { max(1, (1 << 20) / block) }
  private var blocks: Int { count.dividedRoundingUp(by: block) }
  private var bandsOfStack: Int { blocks.dividedRoundingUp(by: blocksOfBand) }

  var bands: Int { bandsOfStack * stacks }

  /// The stack of a band, its blocks, and its values counted from the start of the state.
  func band(_ index: Int) -> (stack: Int, blocks: Range<Int>, values: Range<Int>) {
    let stack = index / bandsOfStack
    let start = index % bandsOfStack * blocksOfBand
    let range = start..<min(start + blocksOfBand, blocks)
    let first = stack * count
    return (
      stack, range, first + range.lowerBound * block..<first + min(range.upperBound * block, count)
    )
  }
}
