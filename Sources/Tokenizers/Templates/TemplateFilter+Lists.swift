extension TemplateRun {
  /// The filters that go through a list.
  mutating func listFilter(
    _ filter: TemplateFilter, _ value: TemplateValue, _ call: TemplateCall
  ) throws -> TemplateValue {
    switch filter {
    case .first, .last:
      let items = try items(of: value)
      return (filter == .first ? items.first : items.last) ?? .undefined(filter.rawValue)
    case .list: return try list(try items(of: value))
    case .reverse:
      if let text = value.text { return .text(text.reversed()) }
      return try list(try items(of: value).reversed())
    case .join: return .text(try joined(value, call))
    case .map: return try mapped(value, call)
    case .select, .reject, .selectattr, .rejectattr: return try selected(filter, value, call)
    case .unique: return try unique(value, call)
    case .sort, .min, .max: return try sorted(filter, value, call)
    default: return try sum(value, call)
    }
  }

  private mutating func joined(
    _ value: TemplateValue, _ call: TemplateCall
  ) throws -> TemplateText {
    let separator = try call.text(0, "d") ?? []
    let name = try call.text(1, "attribute")
    var result: TemplateText = []
    for (index, item) in try items(of: value).enumerated() {
      if index > 0 { result += separator }
      let part = try name.map { try attribute($0, in: item) } ?? item
      result += try text(of: part)
      try spend(separator.count)
    }
    return result
  }

  /// The member of an item by a path such as `function.name`.
  private func attribute(_ path: TemplateText, in item: TemplateValue) throws -> TemplateValue {
    try path.split(separator: ".").reduce(item) { value, part in
      let name = Array(part)
      if let index = Int(PythonText.string(name)) { return try self.item(.int(index), of: value) }
      return try self.item(.text(name), of: value)
    }
  }

  /// What map and select go through; Jinja lets none pass there as nothing.
  private mutating func generated(_ value: TemplateValue) throws -> [TemplateValue] {
    value.isTrue ? try items(of: value) : []
  }

  private mutating func mapped(
    _ value: TemplateValue, _ call: TemplateCall
  ) throws -> TemplateValue {
    if let name = try call.text(Int.max, "attribute") {
      let standard = call.named["default"]
      return try list(
        try generated(value).map {
          let member = try attribute(name, in: $0)
          if case .undefined = member, let standard { return standard }
          return member
        })
    }
    guard let name = try call.text(0, "filter") else {
      throw TemplateProblem(.value, "map takes an attribute or the name of a filter")
    }
    var rest = call
    rest.positional.removeFirst()
    return try list(
      try generated(value).map { try filter(PythonText.string(name), $0, rest) })
  }

  private mutating func selected(
    _ filter: TemplateFilter, _ value: TemplateValue, _ call: TemplateCall
  ) throws -> TemplateValue {
    var rest = call.positional
    var path: TemplateText?
    if filter == .selectattr || filter == .rejectattr {
      guard let name = try call.text(0, "attribute") else {
        throw TemplateProblem(.value, "\(filter.rawValue) takes the name of an attribute")
      }
      path = name
      rest.removeFirst()
    }
    let name = rest.isEmpty ? nil : try TemplateCall(positional: rest).text(0, "test")
    let wanted = filter == .select || filter == .selectattr
    let arguments = Array(rest.dropFirst())
    return try list(
      try generated(value).filter { item in
        let subject = try path.map { try attribute($0, in: item) } ?? item
        guard let name else { return subject.isTrue == wanted }
        return try test(PythonText.string(name), of: subject, arguments) == wanted
      })
  }

  private mutating func unique(
    _ value: TemplateValue, _ call: TemplateCall
  ) throws -> TemplateValue {
    guard call.count == 0 else {
      throw TemplateProblem(.subset, "unique with arguments is not read")
    }
    var kept: [TemplateValue] = []
    for item in try items(of: value) {
      try spend(kept.reduce(0) { TemplateValue.sum($0, $1.weight) })
      if !kept.contains(where: { $0.equals(item) }) { kept.append(item) }
    }
    return try list(kept)
  }

  /// In rising order, texts without regard to case as in Jinja; the least or the greatest.
  private mutating func sorted(
    _ filter: TemplateFilter, _ value: TemplateValue, _ call: TemplateCall
  ) throws -> TemplateValue {
    guard call.positional.isEmpty, call.named.keys.allSatisfy({ $0 == "attribute" }) else {
      throw TemplateProblem(.subset, "\(filter.rawValue) with these arguments is not read")
    }
    let path = try call.text(Int.max, "attribute")
    let items = try items(of: value)
    try spend(TemplateValue.sum(value.weight, items.count))
    let keys = try items.map { item in
      let key = try path.map { try attribute($0, in: item) } ?? item
      return key.text.map { .text(PythonText.lower($0)) } ?? key
    }
    // Insertion keeps the order of equals and may throw; lists in templates are short.
    var order = Array(items.indices)
    for index in order.indices.dropFirst() {
      var place = index
      while place > 0, try precedes(keys[order[place]], keys[order[place - 1]]) {
        order.swapAt(place, place - 1)
        place -= 1
        try spend(1)
      }
    }
    switch filter {
    case .sort: return try list(order.map { items[$0] })
    case .min: return order.first.map { items[$0] } ?? .undefined("min")
    default:
      // Of equal ones the first, as Python's max.
      guard let last = order.last else { return .undefined("max") }
      let first = try items.indices.first {
        try !precedes(keys[$0], keys[last]) && !precedes(keys[last], keys[$0])
      }
      return items[first ?? last]
    }
  }

  private mutating func sum(_ value: TemplateValue, _ call: TemplateCall) throws -> TemplateValue {
    let path = try call.text(0, "attribute")
    return try items(of: value).reduce(call.value(1, "start") ?? .int(0)) { total, item in
      try arithmetic(.plus, total, try path.map { try attribute($0, in: item) } ?? item)
    }
  }
}
