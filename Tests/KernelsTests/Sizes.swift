import Kernels
import TensorCore
import TestKit

/// Counts around every vector width and every unroll.
let sizes = Array(0...70) + Array(127...130) + Array(255...258)

/// Rows and columns of matrices, odd ones and those around tile sizes.
let sides = [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130]

/// The result of a fenced run on four-byte floats.
func fencedFloats(
  _ source: [UInt8], count: Int, _ body: (RawSpan, inout MutableRawSpan) -> Void
) -> [Float]? {
  fenced(source, count: count * 4, body).map(floats(of:))
}
