import CKernels
internal import TensorCore

/// One tile as kernels take it, with its parameters in f32.
extension PackedMatrix {
  enum Purpose {
    case dot, dotInt8, weights
  }

  /// Calls `body` with a tile whose parameters of the groups `range` are filled in, and `pieces`.
  func withTile(
    _ tile: Int, _ range: Range<Int>, _ pieces: [ck_packed_piece], for purpose: Purpose,
    _ workspace: Workspace, on level: Processor.Level,
    _ body: (inout ck_packed_tile) -> Void
  ) {
    let size = form.groups * Self.tileRows * 4
    workspace.lend(size) { scaleValues in
      workspace.lend(size) { offsetValues in
        scales.decode(tile: tile, range, into: &scaleValues, on: level)
        offsets.decode(tile: tile, range, into: &offsetValues, on: level)
        // SAFETY: all addresses are valid until `body` returns; codes, parameters and pieces have the
        // counts the kernels take from them.
        unsafe scaleValues.withUnsafeMutableBytes { scaleValues in
          unsafe offsetValues.withUnsafeMutableBytes { offsetValues in
            unsafe pieces.withUnsafeBufferPointer { pieces in
              unsafe grid.table.withUnsafeBufferPointer { table in
                unsafe withWholeTable { low, high in
                  codes.withBytes { codes in
                    unsafe codes.withUnsafeBytes { codes in
                      var value = unsafe ck_packed_tile()
                      unsafe value.codes = codes.baseAddress.map {
                        unsafe $0 + tile * tileByteCount
                      }
                      unsafe value.bits = UInt32(grid.bits)
                      unsafe value.table = grid.isTable ? table.baseAddress : nil
                      unsafe value.low = low
                      unsafe value.high = high
                      unsafe value.scales = UnsafePointer(
                        scaleValues.assumingMemoryBound(to: Float.self).baseAddress)
                      unsafe value.pieces = pieces.baseAddress
                      unsafe value.piece_count = pieces.count
                      unsafe setOffsets(
                        &value,
                        UnsafePointer(
                          offsetValues.assumingMemoryBound(to: Float.self).baseAddress), purpose)
                      unsafe body(&value)
                    }
                  }
                }
              }
            }
          }
        }
      }
    }
  }

  private func withWholeTable(_ body: (UnsafePointer<UInt8>?, UnsafePointer<UInt8>?) -> Void) {
    // SAFETY: both are lent for the call.
    unsafe (grid.wholeTable?.low ?? []).withUnsafeBufferPointer { low in
      unsafe (grid.wholeTable?.high ?? []).withUnsafeBufferPointer { high in
        unsafe body(low.baseAddress, high.baseAddress)
      }
    }
  }

  /// What is taken off codes and zero points, so that the difference of the two is that of the form.
  private func setOffsets(
    _ tile: inout ck_packed_tile, _ values: UnsafePointer<Float>?, _ purpose: Purpose
  ) {
    let base =
      switch purpose {
      case .dot: grid.middle
      case .dotInt8: 0
      case .weights: grid.shift
      }
    unsafe tile.base = Int32(base)
    unsafe tile.zero_shift = Float(grid.shift - base)
    unsafe tile.factor = form.factor ?? 1
    if purpose == .dotInt8, let whole = grid.wholeTable {
      unsafe tile.zero_shift += whole.bias
      unsafe tile.factor *= whole.step
    }
    if case .added = form.offset {
      unsafe tile.added = values
    } else if case .uniform(let zero) = offsets.encoding {
      unsafe tile.zero_shift += zero
    } else {
      unsafe tile.zeros = values
    }
  }
}
