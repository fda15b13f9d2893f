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

/// Starts a thread that nobody waits for; false if the system refuses.
func startThread(_ work: @escaping @Sendable () -> Void) -> Bool {
  #if canImport(Glibc)
    var id: pthread_t = 0
  #else
    var id: pthread_t?
  #endif
  // SAFETY: the retain travels with the argument and ends in the thread, or here if there is none.
  let argument = unsafe Unmanaged.passRetained(Errand(work: work))
  guard unsafe pthread_create(&id, nil, threadMain, argument.toOpaque()) == 0 else {
    unsafe argument.release()
    return false
  }
  #if canImport(Glibc)
    pthread_detach(id)
  #else
    if let id { unsafe pthread_detach(id) }
  #endif
  return true
}

private final class Errand: Sendable {
  let work: @Sendable () -> Void

  init(work: @escaping @Sendable () -> Void) {
    self.work = work
  }
}

#if canImport(Darwin)
  private func threadMain(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
    // SAFETY: the argument is the errand retained in `startThread`.
    unsafe Unmanaged<Errand>.fromOpaque(argument).takeRetainedValue().work()
    return nil
  }
#else
  private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument = unsafe argument else { return nil }
    // SAFETY: the argument is the errand retained in `startThread`.
    unsafe Unmanaged<Errand>.fromOpaque(argument).takeRetainedValue().work()
    return nil
  }
#endif

/// Where one thread sleeps until another wakes it; a call that comes first is not lost.
@safe
final class Bed: @unchecked Sendable {
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let signal: UnsafeMutablePointer<pthread_cond_t>
  /// Guarded by the lock.
  private var isCalled = false

  init() {
    // SAFETY: both are initialised once, before anyone sees them, and never move.
    unsafe lock = .allocate(capacity: 1)
    unsafe signal = .allocate(capacity: 1)
    unsafe pthread_mutex_init(lock, nil)
    unsafe pthread_cond_init(signal, nil)
  }

  deinit {
    // SAFETY: nobody sleeps here any more, since sleepers hold a reference.
    unsafe pthread_cond_destroy(signal)
    unsafe pthread_mutex_destroy(lock)
    unsafe signal.deallocate()
    unsafe lock.deallocate()
  }

  func sleep() {
    // SAFETY: the lock is held where `isCalled` is used.
    unsafe pthread_mutex_lock(lock)
    while !isCalled { unsafe pthread_cond_wait(signal, lock) }
    isCalled = false
    unsafe pthread_mutex_unlock(lock)
  }

  func wake() {
    // SAFETY: as above.
    unsafe pthread_mutex_lock(lock)
    isCalled = true
    unsafe pthread_cond_signal(signal)
    unsafe pthread_mutex_unlock(lock)
  }
}

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
