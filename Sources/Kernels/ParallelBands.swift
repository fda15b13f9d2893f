internal import Synchronization

/// Runs `body` for every index in 0..<count as `parallelFor` does, with a workspace that no other
/// body uses at the same time.
public func parallelBands(
  _ count: Int, threads: Int = Processor.cores,
  _ body: @Sendable (_ index: Int, _ workspace: Workspace) throws -> Void
) throws {
  let idle = Mutex<[Workspace]>([])
  try parallelFor(count, threads: threads) { index in
    let workspace = idle.withLock { $0.popLast() } ?? Workspace()
    defer { idle.withLock { $0.append(workspace) } }
    try body(index, workspace)
  }
}
