/// Rows of logits for the targets of a text's windows, in their order, from a model or a file.
public protocol LogitStream: AnyObject {
  var vocabularySize: Int { get }
  /// Up to `most` of the next rows `[rows][vocabulary]`, at least one. Traps behind the last.
  func next(_ most: Int) throws -> LogitRows
}

/// Some rows of logits `[count][vocabulary]`, f32.
public struct LogitRows: Sendable {
  public let values: [Float]
  public let vocabularySize: Int

  public init(_ values: [Float], vocabularySize: Int) {
    precondition(vocabularySize > 0 && values.count % vocabularySize == 0)
    self.values = values
    self.vocabularySize = vocabularySize
  }

  public var count: Int { values.count / vocabularySize }

  /// The first rows, and the others.
  func split(at row: Int) -> (LogitRows, LogitRows?) {
    guard row < count else { return (self, nil) }
    let index = row * vocabularySize
    return (
      LogitRows(Array(values[..<index]), vocabularySize: vocabularySize),
      LogitRows(Array(values[index...]), vocabularySize: vocabularySize)
    )
  }
}
