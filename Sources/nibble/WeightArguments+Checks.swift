import Checkpoints

extension WeightArguments {
  /// Throws `usage` where one of them is set for another method.
  func checkAbsent(for method: String) throws {
    let set = [
      "--format": format != nil, "--bits": bits != nil, "--group-size": groupSize != nil,
      "--sym": sym != nil, "--desc-act": descAct, "--static-groups": staticGroups,
      "--act-group-aware": actGroupAware != nil, "--true-sequential": trueSequential != nil,
      "--compensate-ranges": compensateRanges, "--mse": mse != nil,
      "--weighted-ranges": weightedRanges, "--ternary": ternary, "--gptaq": gptaq != nil,
      "--awq-rules": awqRules != nil, "--awq-ratio": awqRatio != nil, "--clip": clip != nil,
      "--clip-tokens": clipTokens != nil,
      "--max-memory": maxMemory != nil, "--damp-percent": dampPercent != nil,
      "--damp-auto-increment": dampAutoIncrement != nil, "--override": !override.isEmpty,
      "--skip": !skip.isEmpty, "--quantize-head": quantizeHead,
      "--scale-dtype": scaleDtype != nil, "--strict": strict, "--log": log != nil,
      "--calibration": !calibration.isEmpty, "--num-samples": numSamples != nil,
      "--seq-len": seqLen != nil, "--seed": seed != nil, "--statistics": statistics != nil,
      "--hidden-dtype": hiddenDtype != nil, "--hessian-dtype": hessianDtype != nil,
      "--save-statistics": saveStatistics != nil,
    ]
    guard let name = set.filter(\.value).keys.sorted().first else { return }
    throw Failure(.usage, at: name, "is no option of \(method)")
  }

  /// Throws `usage` where an option is set that nothing would read.
  func checkRead(by asked: WeightQuantization) throws {
    let method = asked.method
    let takesText = asked.isCalibrated && statistics == nil
    let reason =
      statistics != nil
      ? "is of text, whose place --statistics takes"
      : "is of text, which rtn reads for --weighted-ranges only"
    let ofText = [
      "--calibration": !calibration.isEmpty, "--num-samples": numSamples != nil,
      "--seq-len": seqLen != nil, "--seed": seed != nil, "--max-memory": maxMemory != nil,
      "--hidden-dtype": hiddenDtype != nil, "--true-sequential": trueSequential != nil,
    ]
    if let name = ofText.filter(\.value).keys.sorted().first, !takesText {
      throw Failure(.usage, at: name, reason)
    }
    let unread = [
      "--damp-percent": dampPercent != nil && !method.feedsBack,
      "--damp-auto-increment": dampAutoIncrement != nil && !method.feedsBack,
      "--mse": mse != nil && method == .awq,
      "--true-sequential": trueSequential != nil && method == .awq,
    ]
    guard let name = unread.filter(\.value).keys.sorted().first else { return }
    throw Failure(.usage, at: name, "is no option of \(method.rawValue)")
  }
}
