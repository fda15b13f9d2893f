/// The functions that are read. None reaches the host: the clock is a day that is given.
enum TemplateFunction: String, CaseIterable, Sendable {
  case dict, namespace, range
  case raiseException = "raise_exception"
  case strftime = "strftime_now"
}

extension TemplateRun {
  /// `name(…)`: a macro of the template, or a function.
  mutating func function(
    _ name: String, _ arguments: TemplateArguments
  ) throws -> TemplateValue {
    if let macro = macro(name) {
      let call = try values(arguments)
      return try self.call(macro, call.positional, call.named)
    }
    guard let function = TemplateFunction(rawValue: name) else {
      throw TemplateProblem(.subset, "the function \"\(name)\" is not read")
    }
    let call = try values(arguments)
    switch function {
    case .raiseException:
      let words = try call.positional.first.map { try text(of: $0) } ?? []
      throw TemplateProblem(.refusal, "the template refuses: \(PythonText.string(words))")
    case .range: return try range(call)
    case .strftime: return .text(try date(call))
    case .dict, .namespace:
      var members = TemplateMapping()
      if case .mapping(let given)? = call.positional.first { members = given }
      for argument in arguments.named {
        let value = call.named[argument.name] ?? .none
        try check(value)
        members[Array(argument.name.unicodeScalars)] = value
      }
      try spend(members.weight)
      return function == .dict ? .mapping(members) : .namespace(TemplateNamespace(members))
    }
  }

  private mutating func range(_ call: TemplateCall) throws -> TemplateValue {
    let numbers = call.positional.compactMap(\.int)
    guard numbers.count == call.positional.count, (1...3).contains(numbers.count) else {
      throw TemplateProblem(.value, "range takes one to three whole numbers")
    }
    let from = numbers.count > 1 ? numbers[0] : 0
    let to = numbers.count > 1 ? numbers[1] : numbers[0]
    let step = numbers.count > 2 ? numbers[2] : 1
    let (span, overflows) = to.subtractingReportingOverflow(from)
    guard step != 0, step != .min, !overflows else {
      throw TemplateProblem(.value, "a range without an end")
    }
    guard (span > 0) == (step > 0), span != 0 else { return try list([]) }
    try spend(Int((span.magnitude - 1) / step.magnitude) + 1)
    return try list(stride(from: from, to: to, by: step).map(TemplateValue.int))
  }

  private func date(_ call: TemplateCall) throws -> TemplateText {
    guard let today else {
      throw TemplateProblem(.subset, "the template asks for the date, and none was given")
    }
    guard let format = try call.text(0, "format"), call.count == 1 else {
      throw TemplateProblem(.value, "strftime_now takes a format")
    }
    return try today.text(format)
  }
}
