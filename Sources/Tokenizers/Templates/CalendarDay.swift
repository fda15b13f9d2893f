/// A day of the Gregorian calendar, for templates that print the date.
public struct CalendarDay: Sendable, Equatable {
  public let year: Int
  public let month: Int
  public let day: Int

  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
  ]

  /// nil where there is no such day.
  public init?(year: Int, month: Int, day: Int) {
    let lengths = [
      31, year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28, 31, 30, 31,
      30, 31, 31, 30, 31, 30, 31,
    ]
    guard (1...9999).contains(year), (1...12).contains(month),
      (1...lengths[month - 1]).contains(day)
    else { return nil }
    self.year = year
    self.month = month
    self.day = day
  }

  /// Reads `2024-07-26`.
  public init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 3, let year = parts[0], let month = parts[1], let day = parts[2] else {
      return nil
    }
    self.init(year: year, month: month, day: day)
  }

  /// The day by `strftime`'s letters that need no clock: %d %m %y %Y %b %B and %%.
  func text(_ format: TemplateText) throws -> TemplateText {
    var text = ""
    var isLetter = false
    for scalar in format {
      if !isLetter {
        if scalar == "%" { isLetter = true } else { text.unicodeScalars.append(scalar) }
        continue
      }
      isLetter = false
      switch scalar {
      case "d": text += Self.padded(day, 2)
      case "m": text += Self.padded(month, 2)
      case "y": text += Self.padded(year % 100, 2)
      case "Y": text += Self.padded(year, 4)
      case "b": text += Self.months[month - 1].prefix(3)
      case "B": text += Self.months[month - 1]
      case "%": text += "%"
      default:
        throw TemplateProblem(.subset, "a part of dates that is not read", found: "%\(scalar)")
      }
    }
    return TemplateText(text.unicodeScalars)
  }

  private static func padded(_ number: Int, _ digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(digits - text.count, 0)) + text
  }
}
