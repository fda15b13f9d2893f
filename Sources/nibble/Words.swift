import Checkpoints

/// Numbers as people read them.
enum Words {
  /// `1.29 MB`, in powers of ten as disks count.
  static func bytes(_ count: Int) -> String {
    scaled(Double(count), ["B", "kB", "MB", "GB", "TB", "PB"])
  }

  /// `7.24 B` parameters.
  static func count(_ count: Int) -> String {
    let text = scaled(Double(count), ["", "K", "M", "B", "T"])
    return text.hasSuffix(" ") ? String(text.dropLast()) : text
  }

  private static func scaled(_ value: Double, _ units: [String]) -> String {
    var value = value
    var unit = 0
    while value >= 1000 && unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return unit == 0 ? "\(Int(value)) \(units[0])" : "\(fixed(value, 2)) \(units[unit])"
  }

  /// `value` with a fixed number of decimals.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite, value.magnitude < 1e15 else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let rounded = (value.magnitude * scale).rounded()
    let whole = Int(rounded / scale)
    let sign = value < 0 && rounded > 0 ? "-" : ""
    guard decimals > 0 else { return sign + String(whole) }
    let fraction = String(Int(rounded - Double(whole) * scale))
    let padding = String(repeating: "0", count: decimals - fraction.count)
    return "\(sign)\(whole).\(padding)\(fraction)"
  }

  /// A number in four significant digits, for tables of weights.
  static func short(_ value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "NaN" : value > 0 ? "inf" : "-inf" }
    guard value != 0 else { return "0" }
    if (1e-4..<1e6).contains(value.magnitude) {
      return fixed(value, value.magnitude >= 1000 ? 0 : value.magnitude >= 1 ? 3 : 6)
    }
    var exponent = 0
    var mantissa = value.magnitude
    while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    return (value < 0 ? "-" : "") + fixed(mantissa, 3) + "e\(exponent)"
  }

  /// `1.29 GB/s`.
  static func rate(_ bytes: Int, _ seconds: Double) -> String {
    "\(fixed(Double(bytes) / max(seconds, 1e-9) / 1e9, 2)) GB/s"
  }

  /// `8 s`, `3 min`, `2.4 h`.
  static func duration(_ seconds: Double) -> String {
    if seconds < 120 { return "\(fixed(max(seconds, 1), 0)) s" }
    return seconds < 7200 ? "\(fixed(seconds / 60, 0)) min" : "\(fixed(seconds / 3600, 1)) h"
  }

  static func plural(_ count: Int, _ word: String) -> String {
    count == 1 ? "1 \(word)" : "\(count) \(word)s"
  }
}

/// Columns of text, padded; numbers to the right.
struct Table {
  enum Alignment { case left, right }

  private let alignments: [Alignment]
  private var rows: [[String]] = []

  init(_ alignments: [Alignment]) {
    self.alignments = alignments
  }

  mutating func add(_ cells: String...) {
    rows.append(cells)
  }

  func text(indent: String = "") -> String {
    var widths = alignments.map { _ in 0 }
    for row in rows {
      for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
    }
    return rows.map { row in
      var line = indent
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        line += alignments[column] == .left ? cell + padding : padding + cell
        line += column == row.count - 1 ? "" : "  "
      }
      while line.last == " " { line.removeLast() }
      return line
    }.joined(separator: "\n")
  }
}
