import CKernels
internal import TensorCore

/// Values at the same ranks of every block of an array, averaged.
public enum BlockQuantiles {
  /// Blocks whose values are added in order; these sums are then added in order too, so that the
  /// number of threads never shows.
  private static let partBlocks = 256

  /// The mean over all whole blocks of `size` f32 values of the value at each rank (0 the smallest
  /// of its block), summed in f64; what is left behind the last whole block is not looked at.
  /// −0 comes before +0 and NaN last, which a mean it enters becomes. O(values), in parallel.
  ///
  /// Traps where there is no whole block, where ranks descend or lie outside of it, and where
  /// `size` passes 65535.
  public static func mean(
    of values: RawSpan, size: Int, ranks: [Int], threads: Int = Processor.cores,
    on level: Processor.Level = .best
  ) -> [Double] {
    precondition((1...65535).contains(size) && ranks.allSatisfy { (0..<size).contains($0) })
    precondition(zip(ranks, ranks.dropFirst()).allSatisfy(<=))
    let blocks = values.byteCount / 4 / size
    precondition(blocks > 0)
    let parts = blocks.dividedRoundingUp(by: partBlocks)
    let job = Job(ranks: ranks.map(UInt32.init), size: size, level: level)
    let partBytes = ranks.count * 8
    var sums = AlignedBytes(count: max(parts * partBytes, 1))
    // SAFETY: every part reads whole blocks inside of the values and writes its own sums.
    unsafe values.withUnsafeBytes { values in
      let source = unsafe Source(bytes: values)
      var all = sums.mutableBytes
      parallelFor(partsOf: &all, size: max(partBytes, 1), threads: threads) { part, sums in
        let range = part * partBlocks..<min((part + 1) * partBlocks, blocks)
        job.add(range, of: source, to: &sums)
      }
    }
    let bytes = sums.bytes
    return ranks.indices.map { rank in
      (0..<parts).reduce(0.0) { $0 + bytes.double(at: $1 * ranks.count + rank) } / Double(blocks)
    }
  }

  private struct Job: Sendable {
    let ranks: [UInt32]
    let size: Int
    let level: Processor.Level

    /// Sets `sums`, one f64 for each rank.
    func add(_ blocks: Range<Int>, of source: Source, to sums: inout MutableRawSpan) {
      var total = [Double](repeating: 0, count: ranks.count)
      var found = [Float](repeating: 0, count: ranks.count)
      var scratch = [UInt32](repeating: 0, count: size * 4)
      for block in blocks {
        let start = block * size * 4
        guard let address = unsafe source.bytes.baseAddress.map({ unsafe $0 + start }) else {
          return
        }
        // SAFETY: the block is inside of the values; the scratch has four words for each of them.
        unsafe level.kernels.pointee.block_quantiles(
          address, size, ranks, ranks.count, &found, &scratch)
        for rank in ranks.indices { total[rank] += Double(found[rank]) }
      }
      for (rank, sum) in total.enumerated() {
        sums.storeBytes(of: sum.bitPattern, toByteOffset: rank * 8, as: UInt64.self)
      }
    }
  }

  @safe
  private struct Source: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
  }
}

extension RawSpan {
  fileprivate func double(at index: Int) -> Double {
    // SAFETY: the offset is checked by the span and every bit pattern is a value.
    Double(
      bitPattern: unsafe unsafeLoadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
  }
}
