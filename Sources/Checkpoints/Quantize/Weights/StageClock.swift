public import TensorCore

/// What a calibrated run spends its time on.
public enum QuantizationStage: String, Sendable, CaseIterable {
  /// Reading weights and taking them to the device.
  case loading
  /// Windows through blocks.
  case forward
  /// Second moments of inputs.
  case hessians
  /// Factored Hessians.
  case factors
  /// Codes, by whatever method.
  case codes
  /// AWQ's scales and clips.
  case search
  /// Block files, and the layouts.
  case writing
  /// The layouts read back.
  case proving
}

/// Tells seconds since some instant: those that pass, or those that processors work.
public typealias SecondsClock = @Sendable () -> Double

/// Seconds of each stage. Used by one thread at a time.
final class StageClock {
  /// Seconds that pass.
  static let wall: SecondsClock = {
    let start = ContinuousClock.now
    return { (ContinuousClock.now - start) / .seconds(1) }
  }()

  let now: SecondsClock
  private(set) var seconds: [QuantizationStage: Double] = [:]

  init(_ now: @escaping SecondsClock) { self.now = now }

  /// Adds the time of `body` to a stage; `outer`: that stage is being measured around it and is to go without.
  func measure<Result>(
    _ stage: QuantizationStage, within outer: QuantizationStage? = nil,
    _ body: () throws -> Result
  ) rethrows -> Result {
    let start = now()
    defer {
      let passed = now() - start
      add(passed, to: stage)
      if let outer { add(-passed, to: outer) }
    }
    return try body()
  }

  func add(_ passed: Double, to stage: QuantizationStage) {
    seconds[stage, default: 0] += passed
  }
}

extension [QuantizationStage: Double] {
  /// By name, in the order of the stages.
  public var json: JSON {
    var object = JSONObject()
    for stage in QuantizationStage.allCases {
      if let seconds = self[stage] { object[stage.rawValue] = .real(seconds) }
    }
    return .object(object)
  }
}
