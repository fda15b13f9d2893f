import CKernels
internal import Synchronization
internal import TensorCore

/// Values at ranks of many f32 values, without sorting them.
///
/// Values are ordered as numbers, −0 before +0; NaN is left out.
public enum OrderStatistics {
  /// Ranks that one call may ask for.
  public static let maxRanks = 512

  /// The values at ascending ranks, 0 being the smallest, which `ranks` tells once the number of
  /// values that are not NaN is known.
  ///
  /// Three passes over the values, each counting by 16, 8 and 8 more bits of their ordered keys
  /// where a rank lies: exact, and the same for any number of threads. O(values), and at most
  /// 1.5 MB for each of a few strips of them.
  ///
  /// Traps on a length that is not whole, on more than `maxRanks` ranks, and on ranks that descend
  /// or lie outside of the count.
  public static func values(
    of values: RawSpan, threads: Int = Processor.cores, on level: Processor.Level = .best,
    atRanks ranks: (_ count: Int) -> [Int]
  ) -> [Float] {
    let count = values.byteCount / 4
    precondition(values.byteCount == count * 4)
    let counter = Counter(values, threads: threads)
    let high = unsafe counter.bins(1 << 16) { values, count, bins in
      unsafe level.kernels.pointee.key_histogram(values, count, bins)
    }
    // The last bin holds the NaNs and nothing else.
    let number = count - Int(high[0xFFFF])
    let ranks = ranks(number)
    precondition(ranks.count <= maxRanks && ranks.allSatisfy { (0..<number).contains($0) })
    guard !ranks.isEmpty else { return [] }
    let first = Digit(high, width: 1 << 16, slots: ranks.map { _ in 0 }, ranks: ranks)
    let slots = first.slotOfBin(count: 1 << 16, other: first.bins.count)
    let middle = unsafe counter.bins((first.bins.count + 1) * 256) { values, count, bins in
      unsafe level.kernels.pointee.key_histogram_within(values, count, slots, bins)
    }
    let second = Digit(middle, width: 256, slots: first.slots, ranks: first.ranks)
    let inner = second.slotOfBin(count: middle.count, other: 0xFFFF)
    let low = unsafe counter.bins(second.bins.count * 256) { values, count, bins in
      unsafe level.kernels.pointee.key_histogram_last(values, count, slots, inner, bins)
    }
    let third = Digit(low, width: 256, slots: second.slots, ranks: second.ranks)
    return third.slots.map { slot in
      let last = third.bins[slot]
      let middle = second.bins[last / 256]
      let key = first.bins[middle / 256] << 16 | (middle % 256) << 8 | last % 256
      return value(ofKey: UInt32(key))
    }
  }

  private static func value(ofKey key: UInt32) -> Float {
    Float(bitPattern: key & 0x8000_0000 != 0 ? key & 0x7FFF_FFFF : ~key)
  }
}

/// Where ranks lie once one more digit of the keys has been counted.
private struct Digit {
  /// The bins with a rank in them, ascending: slot · width + digit.
  private(set) var bins: [Int] = []
  /// For each rank the place of its bin in `bins`.
  private(set) var slots: [Int] = []
  /// For each rank its rank within that bin.
  private(set) var ranks: [Int] = []

  init(_ counts: [UInt64], width: Int, slots: [Int], ranks: [Int]) {
    var bin = 0
    var below = 0
    for (slot, rank) in zip(slots, ranks) {
      if bin < slot * width { (bin, below) = (slot * width, 0) }
      while below + Int(counts[bin]) <= rank {
        below += Int(counts[bin])
        bin += 1
      }
      if bins.last != bin { bins.append(bin) }
      self.slots.append(bins.count - 1)
      self.ranks.append(rank - below)
    }
  }

  /// For each of `count` bins its place in `bins`, or `other`.
  func slotOfBin(count: Int, other: Int) -> [UInt16] {
    var table = [UInt16](repeating: UInt16(other), count: count)
    for (slot, bin) in bins.enumerated() { table[bin] = UInt16(slot) }
    return table
  }
}

/// Counts values into bins, strip by strip; sums of counts do not depend on their order.
private struct Counter {
  private let values: SharedValues
  private let count: Int
  private let threads: Int
  /// Few enough values that no count passes 32 bits.
  private let strip: Int

  init(_ values: RawSpan, threads: Int) {
    count = values.byteCount / 4
    self.threads = threads
    strip = min(max(count.dividedRoundingUp(by: 4 * threads), 1 << 16), 1 << 31)
    // SAFETY: every use ends within the call that lent the span.
    self.values = unsafe values.withUnsafeBytes { unsafe SharedValues(base: $0.baseAddress) }
  }

  func bins(
    _ count: Int,
    _ kernel: @Sendable (UnsafeRawPointer, Int, UnsafeMutablePointer<UInt32>) -> Void
  ) -> [UInt64] {
    let total = Mutex([UInt64](repeating: 0, count: count))
    guard let base = unsafe values.base else { return total.withLock { $0 } }
    let shared = unsafe SharedValues(base: base)
    parallelFor(self.count.dividedRoundingUp(by: strip), threads: threads) { index in
      let start = index * strip
      var own = [UInt32](repeating: 0, count: count)
      // SAFETY: the strip lies inside the values; the kernels index bins by slots below `count`.
      unsafe own.withUnsafeMutableBufferPointer { own in
        guard let own = own.baseAddress, let base = unsafe shared.base else { return }
        unsafe kernel(base + start * 4, min(strip, self.count - start), own)
      }
      total.withLock { total in
        for bin in 0..<count { total[bin] += UInt64(own[bin]) }
      }
    }
    return total.withLock { $0 }
  }
}

@safe
private struct SharedValues: @unchecked Sendable {
  let base: UnsafeRawPointer?
}
