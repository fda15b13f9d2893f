internal import CKernels
internal import Synchronization

/// Runs `work` on the calling thread and on `extra` more at the same time; returns when all have.
///
/// If the system refuses to make a thread there are fewer, so `work` must share itself out. A thread that has not
/// begun when the calling one is through is not waited for. Threads stay and are lent again: waking one that
/// still looks for work costs about a microsecond, making one some fifty.
func runOnThreads(extra: Int, _ work: @escaping @Sendable () -> Void) {
  let lent = Helper.take(extra)
  for helper in lent { helper.offer(work) }
  work()
  for helper in lent { helper.finish() }
  Helper.giveBack(lent)
}

/// A thread that runs what it is offered, one thing at a time.
final class Helper: Sendable {
  /// What the thread and the one that lends it tell each other.
  private enum State {
    /// Looks for work.
    static let idle = 0
    /// Sleeps until it is woken.
    static let asleep = 1
    static let offered = 2
    static let running = 3
    /// Runs, and somebody sleeps until it is through.
    static let awaited = 4
    static let done = 5
    /// Through, and asleep before its lender heard of it.
    static let rests = 6
  }

  private static let idle = Mutex<[Helper]>([])
  /// Looks for a change before a thread sleeps: some tens of microseconds.
  private static let patience = 2000

  private let state = Atomic(State.idle)
  private let work = Mutex<(@Sendable () -> Void)?>(nil)
  private let bed = Bed()
  private let waitingRoom = Bed()

  /// Up to `count` helpers that nobody else has.
  static func take(_ count: Int) -> [Helper] {
    guard count > 0 else { return [] }
    var taken = idle.withLock { all in
      let some = Array(all.suffix(count))
      all.removeLast(some.count)
      return some
    }
    while taken.count < count {
      let helper = Helper()
      guard startThread({ helper.serve() }) else { break }
      taken.append(helper)
    }
    return taken
  }

  static func giveBack(_ helpers: [Helper]) {
    if !helpers.isEmpty { idle.withLock { $0 += helpers } }
  }

  func offer(_ work: @escaping @Sendable () -> Void) {
    self.work.withLock { $0 = work }
    let before = state.exchange(State.offered, ordering: .acquiringAndReleasing)
    if before == State.asleep { bed.wake() }
  }

  /// Takes the offer back where it was not begun, or waits until it is through. No copy of the work is
  /// left behind.
  func finish() {
    let (isBack, _) = state.compareExchange(
      expected: State.offered, desired: State.idle, ordering: .acquiringAndReleasing)
    if isBack { return work.withLock { $0 = nil } }
    for _ in 0..<Self.patience {
      if state.load(ordering: .acquiring) >= State.done { break }
      ck_pause()
    }
    let (waits, _) = state.compareExchange(
      expected: State.running, desired: State.awaited, ordering: .acquiringAndReleasing)
    if waits { waitingRoom.sleep() }
    let (looks, _) = state.compareExchange(
      expected: State.done, desired: State.idle, ordering: .acquiringAndReleasing)
    if !looks { state.store(State.asleep, ordering: .releasing) }
  }

  private func serve() {
    while true {
      waitForOffer()
      let (begins, _) = state.compareExchange(
        expected: State.offered, desired: State.running, ordering: .acquiringAndReleasing)
      guard begins else { continue }
      runWork()
      let before = state.exchange(State.done, ordering: .acquiringAndReleasing)
      if before == State.awaited { waitingRoom.wake() }
    }
  }

  /// In a function of its own, so that the work is let go of before its lender hears of it.
  @inline(never)
  private func runWork() {
    let work = work.withLock { work in
      let taken = work
      work = nil
      return taken
    }
    work?()
  }

  private func waitForOffer() {
    for _ in 0..<Self.patience {
      if state.load(ordering: .acquiring) == State.offered { return }
      ck_pause()
    }
    for (awake, asleep) in [(State.done, State.rests), (State.idle, State.asleep)] {
      let (sleeps, _) = state.compareExchange(
        expected: awake, desired: asleep, ordering: .acquiringAndReleasing)
      if sleeps { return bed.sleep() }
    }
  }
}
