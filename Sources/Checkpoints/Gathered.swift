internal import Synchronization

/// Results that several threads fill in, each at its own index.
final class Gathered<Value: Sendable>: Sendable {
  private let slots: Mutex<[Value?]>

  init(count: Int) {
    slots = Mutex(Array(repeating: nil, count: count))
  }

  func set(_ value: Value, at index: Int) {
    slots.withLock { $0[index] = value }
  }

  /// Every value that was set, in order.
  var values: [Value] {
    slots.withLock { $0.compactMap(\.self) }
  }
}
