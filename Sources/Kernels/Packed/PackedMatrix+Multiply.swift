import CKernels
internal import TensorCore

extension PackedMatrix {
  /// Bytes of codes that one task reads: many in a row, since what is fetched ahead of a task's end is another
  /// thread's; fewer where there would not be enough tasks to share out evenly.
  private static let taskBytes = 512 << 10
  private static let fewestTasks = 8
  var taskTiles: Int {
    max(1, min(Self.taskBytes / tileByteCount, tiles / Self.fewestTasks))
  }

  /// input f32 [tokens][columns] times the transpose of this matrix into output f32 [tokens][rows].
  ///
  /// Sums run in f32, with fused multiplications and additions, in the order that `ck_kernels.packed_dot`
  /// states: levels, threads and the tokens beside one change no bit. With 8-bit activations each run of
  /// `int8Group` columns (a multiple of 8 up to 512, within a group of the weight; nil: the token's whole input) is
  /// rounded to multiples of 1/127 of its largest magnitude: beside rounding in f32, an output is off by at most
  /// Σ over runs of largest/254 · Σ|w|, and for code tables by half a step of 1/32767 of the table's
  /// largest value, times Σ|s·x|. Matrices that do not take 8 bits (`takesInt8`) use f32. Reads the matrix
  /// once for every eight tokens. Traps where lengths do not fit.
  public func multiply(
    _ input: RawSpan, tokens: Int, int8Group: Int? = nil, usesInt8: Bool = false,
    into output: inout MutableRawSpan, threads: Int = Processor.cores,
    on level: Processor.Level = .best
  ) {
    precondition(tokens >= 0 && input.byteCount == tokens * columns * 4)
    precondition(output.byteCount == tokens * rows * 4)
    let rule: PackedInput.Rule =
      usesInt8 && takesInt8 ? int8Group.map { .run($0) } ?? .token : .float
    let limit = Int(ck_packed_tokens)
    for first in stride(from: 0, to: tokens, by: limit) {
      let count = min(limit, tokens - first)
      let part = input.part(first * columns * 4..<(first + count) * columns * 4)
      let packed = PackedInput(part, tokens: count, columnOrder, rule)
      var target = output.part(first * rows * 4..<(first + count) * rows * 4)
      multiply(packed, into: &target, threads: threads, on: level)
    }
  }

  private func multiply(
    _ input: borrowing PackedInput, into output: inout MutableRawSpan, threads: Int,
    on level: Processor.Level
  ) {
    let taskTiles = taskTiles
    let tasks = tiles.dividedRoundingUp(by: taskTiles)
    input.withAddresses { values in
      // SAFETY: tasks write disjoint rows of the output and all end before this function does.
      unsafe output.withUnsafeMutableBytes { output in
        let target = unsafe Target(address: output.assumingMemoryBound(to: Float.self))
        try? parallelBands(tasks, threads: threads) { task, workspace in
          for tile in task * taskTiles..<min((task + 1) * taskTiles, tiles) {
            multiply(tile, values, into: target, workspace, on: level)
          }
        }
      }
    }
  }

  private func multiply(
    _ tile: Int, _ input: PackedInput.Addresses, into output: Target, _ workspace: Workspace,
    on level: Processor.Level
  ) {
    let first = tile * Self.tileRows
    let count = min(Self.tileRows, rows - first)
    workspace.lend(Int(ck_packed_tokens) * Self.tileRows * 4) { sums in
      // SAFETY: there are sums for as many tokens as the input has, and the rows are within the output.
      unsafe sums.withUnsafeMutableBytes { sums in
        guard let sums = unsafe sums.assumingMemoryBound(to: Float.self).baseAddress else { return }
        let purpose = input.isInt8 ? Purpose.dotInt8 : .dot
        unsafe withTile(
          tile, 0..<form.groups, input.pieces, for: purpose, workspace, on: level
        ) { tile in
          var values = unsafe input.values
          if input.isInt8 {
            unsafe level.kernels.pointee.packed_dot_s8(&tile, &values, sums)
          } else {
            unsafe level.kernels.pointee.packed_dot(&tile, &values, sums)
          }
        }
        for token in 0..<input.tokens {
          unsafe output.address.baseAddress?.advanced(by: token * rows + first)
            .update(from: sums + token * Self.tileRows, count: count)
        }
      }
    }
  }

  @safe
  private struct Target: @unchecked Sendable {
    let address: UnsafeMutableBufferPointer<Float>
  }
}

extension PackedInput {
  /// The input as kernels take it.
  @safe
  struct Addresses: @unchecked Sendable {
    let values: ck_packed_input
    let pieces: [ck_packed_piece]
    let tokens: Int
    let isInt8: Bool
  }

  borrowing func withAddresses(_ body: (Addresses) -> Void) {
    values.withBytes { values in
      sums.withBytes { sums in
        scales.withBytes { scales in
          // SAFETY: the addresses are valid until `body` returns.
          unsafe values.withUnsafeBytes { values in
            unsafe sums.withUnsafeBytes { sums in
              unsafe scales.withUnsafeBytes { scales in
                let input = unsafe ck_packed_input(
                  values: values.baseAddress, stride: stride,
                  sums: sums.assumingMemoryBound(to: Float.self).baseAddress,
                  scales: scales.assumingMemoryBound(to: Float.self).baseAddress, tokens: tokens)
                unsafe body(
                  Addresses(values: input, pieces: pieces, tokens: tokens, isInt8: isInt8))
              }
            }
          }
        }
      }
    }
  }
}
