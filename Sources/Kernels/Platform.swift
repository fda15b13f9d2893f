// The one file of this room that knows which C library there is.
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// The value of an environment variable; nil where it is not set.
func environment(_ variable: String) -> String? {
  // SAFETY: the value is copied at once; nothing in this package changes the environment.
  guard let value = unsafe getenv(variable) else { return nil }
  return unsafe String(cString: value)
}

/// Runs `work` on the calling thread and on `extra` more at the same time; returns when all have.
///
/// If the system refuses to make a thread there are fewer, so `work` must share itself out.
func runOnThreads(extra: Int, _ work: @escaping @Sendable () -> Void) {
  let crew = Crew(work: work)
  var threads: [Thread] = []
  for _ in 0..<extra {
    guard let thread = start(crew) else { break }
    threads.append(thread)
  }
  work()
  for thread in threads { thread.join() }
}

/// A thread that was started and not yet joined.
@safe
private struct Thread {
  #if canImport(Glibc)
    var id: pthread_t = 0
  #else
    var id: pthread_t?
  #endif

  func join() {
    var result: UnsafeMutableRawPointer?
    // SAFETY: `runOnThreads` joins each thread it has started once.
    unsafe pthread_join(id, &result)
  }
}

private final class Crew: Sendable {
  let work: @Sendable () -> Void

  init(work: @escaping @Sendable () -> Void) {
    self.work = work
  }
}

/// Starts one thread; nil if the system refuses.
private func start(_ crew: Crew) -> Thread? {
  var thread = Thread()
  // SAFETY: the retain travels with the argument and ends in the thread, or here if there is none.
  let argument = unsafe Unmanaged.passRetained(crew)
  let refused = unsafe pthread_create(&thread.id, nil, threadMain, argument.toOpaque()) != 0
  if refused { unsafe argument.release() }
  return refused ? nil : thread
}

#if canImport(Darwin)
  private func threadMain(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    // SAFETY: the argument is the crew retained in `start`.
    unsafe Unmanaged<Crew>.fromOpaque(argument).takeRetainedValue().work()
    return nil
  }
#else
  private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument = unsafe argument else { return nil }
    // SAFETY: the argument is the crew retained in `start`.
    unsafe Unmanaged<Crew>.fromOpaque(argument).takeRetainedValue().work()
    return nil
  }
#endif

/// Lets another thread run.
public func giveWay() {
  sched_yield()
}

/// eˣ.
func exponential(_ x: Double) -> Double { exp(x) }

/// tanh x.
func hyperbolicTangent(_ x: Double) -> Double { tanh(x) }

/// erf x.
func errorFunction(_ x: Double) -> Double { erf(x) }
