import Kernels
import TensorCore
import TestKit

/// How a test's packed layers are stored.
struct Packing: CustomStringConvertible, Sendable {
  var bits = 4
  /// The version whose zero points are written.
  var version = 1
  var symmetric = false
  var groupSize = 32

  var description: String {
    "\(bits) bits, version \(version), \(symmetric ? "symmetric" : "asymmetric")"
  }

  /// A config that names `named`, or the version that is written.
  func config(naming named: Int? = nil) -> String {
    """
    {"model_type": "llama", "quantization_config": {"bits": \(bits), "group_size": \(groupSize), \
    "desc_act": false, "sym": \(symmetric), "quant_method": "gptq", "checkpoint_format": \
    "\((named ?? version) == 1 ? "gptq" : "gptq_v2")", "meta": {"quantizer": ["gptqmodel:7.7.0"]}}}
    """
  }
}

extension Model {
  /// A layer of weights around `mean` standard deviations, rounded to nearest over the range of each
  /// group. Zero points of 0 are stored as 1, so that every version has a field for them.
  mutating func addRounded(
    _ name: String, rows: Int = 64, columns: Int = 256, _ packing: Packing, mean: Float = 0,
    from random: inout SplitMix64
  ) {
    let groups = columns / packing.groupSize
    let highest = Float(1 << packing.bits - 1)
    var codes = [UInt8](repeating: 0, count: rows * columns)
    var fields = [UInt8](repeating: 0, count: rows * groups)
    for row in 0..<rows {
      for group in 0..<groups {
        let weights = (0..<packing.groupSize).map { _ in random.normal() + mean }
        var (low, high) = (min(weights.min() ?? 0, 0), max(weights.max() ?? 0, 0))
        if packing.symmetric { (low, high) = (-max(-low, high), max(-low, high)) }
        let scale = (high - low) / highest
        let zero =
          packing.symmetric
          ? Float(1 << (packing.bits - 1)) : min(max((-low / scale).rounded(), 1), highest)
        fields[group * rows + row] = UInt8(zero) - (packing.version == 1 ? 1 : 0)
        for (index, weight) in weights.enumerated() {
          let code = min(max((weight / scale).rounded() + zero, 0), highest)
          codes[(group * packing.groupSize + index) * rows + row] = UInt8(code)
        }
      }
    }
    let words = Self.made(rows * columns * packing.bits / 8) { target in
      WordRows.pack(bits: packing.bits, codes.rawSpan, columns: rows, into: &target)
    }
    add("\(name).qweight", .i32, [columns * packing.bits / 32, rows], words)
    let zeros = Self.made(rows * groups * packing.bits / 8) { target in
      BitStream.pack(bits: packing.bits, fields.rawSpan, into: &target)
    }
    add("\(name).qzeros", .i32, [groups, rows * packing.bits / 32], zeros)
    add(
      "\(name).scales", .f16, [groups, rows],
      (0..<groups * rows).flatMap { [UInt8(truncatingIfNeeded: $0), 0x24] })
  }

  private static func made(_ count: Int, _ fill: (inout MutableRawSpan) -> Void) -> [UInt8] {
    Workspace().lend(count) { bytes in
      fill(&bytes)
      return bytes.bytes.array
    }
  }
}

extension SplitMix64 {
  /// A number of a normal distribution, nearly: twelve uniform ones less their mean.
  mutating func normal() -> Float {
    (0..<12).reduce(-6) { sum, _ in sum + Float.random(in: 0..<1, using: &self) }
  }
}
