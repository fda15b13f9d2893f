internal import Kernels
internal import TensorCore

/// Stores a stream in the smallest of the ways there are.
struct PackedQuantPieces {
  /// The level at which zstd searches for matches, 1 … 22.
  let level: Int

  /// From this level on every way is tried on every stream, not on a sample of it.
  static let thoroughLevel = 10
  /// A stream that shrinks by less than one part in so many stays raw: it can be mapped then.
  private static let leastGain = 128
  private static let sampleBytes = 1 << 14

  /// Writes the stored form to the start of `target`, which has room for the stream and a frame of
  /// it; returns how, and how many bytes. O(bytes). Traps if the stream is empty.
  func store(
    _ stream: RawSpan, into target: inout MutableRawSpan
  ) -> PackedQuantDirectory.Piece {
    let count = stream.byteCount
    let first = stream.uint8(at: 0)
    if stream.uint8(at: count - 1) == first && Bytes.allEqual(stream, to: first) {
      target.set(first, at: 0)
      return .init(encoding: .constant, stored: 1)
    }
    let limit = count - max(1, count / Self.leastGain)
    var best: Int?
    var bestMethod: Zstd.Method?
    var lastMethod: Zstd.Method?
    for method in methods(for: stream, &target) {
      let size = Zstd.compress(stream, method, into: &target)
      lastMethod = method
      if let size, size <= limit, size < best ?? .max { (best, bestMethod) = (size, method) }
    }
    guard let best, let bestMethod else { return raw(stream, into: &target) }
    // The smaller one may have been made first.
    if bestMethod != lastMethod { _ = Zstd.compress(stream, bestMethod, into: &target) }
    return .init(encoding: .zstd, stored: best)
  }

  private func raw(
    _ stream: RawSpan, into target: inout MutableRawSpan
  ) -> PackedQuantDirectory.Piece {
    var part = target.part(0..<stream.byteCount)
    part.copy(from: stream)
    return .init(encoding: .raw, stored: stream.byteCount)
  }

  /// The ways worth trying on the whole stream, told by a sample from its middle.
  private func methods(
    for stream: RawSpan, _ scratch: inout MutableRawSpan
  ) -> [Zstd.Method] {
    let all: [Zstd.Method] = [.literals, .level(level)]
    let count = stream.byteCount
    guard count > 2 * Self.sampleBytes, level < Self.thoroughLevel else { return all }
    let start = (count - Self.sampleBytes) / 2
    let sample = stream.part(start..<start + Self.sampleBytes)
    let sizes = all.map { Zstd.compress(sample, $0, into: &scratch) ?? .max }
    // A table of the codes is in the sample as in every block, eight times as long.
    guard (sizes.min() ?? .max) < Self.sampleBytes + Self.sampleBytes / 256 else { return [] }
    return [sizes[1] < sizes[0] - sizes[0] / 32 ? all[1] : all[0]]
  }
}
