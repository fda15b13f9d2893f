internal import Kernels
public import TensorCore

/// Blockwise quantization to codes of eight bits with any ascending table of 256 numbers. Source:
/// 8-bit optimizers, arXiv 2110.02861; `csrc/kernels.cu` and `csrc/cpu_ops.cpp` of bitsandbytes 0.50.
public struct EightBit: Sendable {
  private enum Search: Sendable {
    /// 255 numbers between the entries.
    case thresholds([Float])
    /// BNB-45: the code of each 65535th of -1...1.
    case lookup([UInt8])
  }

  public let table: [Float]
  public let blockSize: Int
  private let search: Search

  /// Throws `usage` where the table does not have 256 ascending numbers, or for a block size below 1.
  public init(
    table: [Float] = CodeTables.dynamic(), blockSize: Int = 4096, rules: PeerRules = .cuda
  ) throws(Failure) {
    guard table.count == 256, zip(table, table.dropFirst()).allSatisfy({ $0 <= $1 }) else {
      throw Failure(
        .usage, at: "code table", "no table of codes", expected: "256 ascending numbers",
        found: "\(table.count) numbers")
    }
    guard blockSize > 0 else {
      throw Failure(
        .usage, at: "block size", "no such size of blocks", expected: "at least 1",
        found: "\(blockSize)")
    }
    (self.table, self.blockSize) = (table, blockSize)
    search = rules == .cuda ? .thresholds(Self.thresholds(table)) : .lookup(Self.lookup(table))
  }

  /// The largest magnitude of each block of `values` (float32). Returns how many blocks hold an
  /// infinity or NaN. O(values).
  public func absmax(_ values: RawSpan, into absmax: inout MutableRawSpan) -> Int {
    Blockwise.absmax(values, block: blockSize, into: &absmax)
  }

  /// Codes of `values` with their `absmax`. O(values).
  public func quantize(_ values: RawSpan, absmax: RawSpan, into codes: inout MutableRawSpan) {
    switch search {
    case .thresholds(let limits):
      Blockwise.bytes(values, absmax: absmax, block: blockSize, thresholds: limits, into: &codes)
    case .lookup(let table):
      Blockwise.lookup(values, absmax: absmax, block: blockSize, table: table, into: &codes)
    }
  }

  /// Numbers of codes: entry times absmax, rounded to float32. O(values).
  public func dequantize(_ codes: RawSpan, absmax: RawSpan, into values: inout MutableRawSpan) {
    Dequantize.tableRun(
      codes, table: table.rawSpan, group: blockSize, scales: absmax, into: &values)
  }

  /// BNB-44: the search ends on an even entry, which keeps a tie on either side; of equal entries it
  /// finds the first.
  static func thresholds(_ table: [Float]) -> [Float] {
    (0..<255).map { lower in
      let middle = (table[lower] + table[lower + 1]) * 0.5
      let isTieUp = lower % 2 == 1 && table[lower] < table[lower + 1]
      return isTieUp ? middle.nextDown : middle
    }
  }

  static func lookup(_ table: [Float]) -> [UInt8] {
    let middles = zip(table, table.dropFirst()).map { ($0 + $1) * 0.5 }
    var code = 0
    return (0..<65536).map { index in
      let value = Float(index) / 65535 * 2 - 1
      while code < 255, middles[code] < value { code += 1 }
      return UInt8(code)
    }
  }
}
