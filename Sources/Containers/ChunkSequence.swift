internal import Kernels
internal import Synchronization
internal import TensorCore

/// Gives chunks that are ready in any order their places in a file, one behind the other.
final class ChunkSequence: Sendable {
  struct Result: Sendable {
    let chunk: PackedQuantDirectory.Chunk
    let digest: [UInt8]
  }

  private struct State {
    var next = 0
    var end: Int
    /// Ready, but one before them is not.
    var waiting: [Int: StoredChunk] = [:]
    var results: [Result?]
    var isStopped = false
  }

  /// Chunks that may wait in memory before threads that are ahead wait too.
  private static let ahead = 32
  private let state: Mutex<State>

  init(count: Int, start: Int) {
    state = Mutex(State(end: start, results: Array(repeating: nil, count: count)))
  }

  /// Where the last region ends.
  var end: Int { state.withLock { $0.end } }

  var results: [Result] { state.withLock { $0.results.compactMap(\.self) } }

  /// No more chunks come: those that wait for one are let go.
  func stop() { state.withLock { $0.isStopped = true } }

  /// Takes a chunk, and writes it and all that waited for it where their places are known now.
  func add(_ chunk: StoredChunk, at index: Int, to file: OutputFile?, _ workspace: Workspace) throws
  {
    while state.withLock({ index > $0.next + Self.ahead && !$0.isStopped }) { giveWay() }
    let ready = state.withLock { state -> [(index: Int, chunk: StoredChunk, start: Int)] in
      state.waiting[index] = chunk
      var ready: [(index: Int, chunk: StoredChunk, start: Int)] = []
      while let next = state.waiting.removeValue(forKey: state.next) {
        ready.append((state.next, next, state.end))
        state.end = next.end(from: state.end)
        state.next += 1
      }
      return ready
    }
    for (index, chunk, start) in ready {
      let checksum = try chunk.withRegion(from: start, workspace) { region in
        try file?.write(region, at: start)
        return XXH64.hash(region)
      }
      let place = PackedQuantDirectory.Chunk(
        pieces: chunk.pieces, region: start..<chunk.end(from: start), checksum: checksum)
      state.withLock { $0.results[index] = Result(chunk: place, digest: chunk.digest) }
    }
  }
}
