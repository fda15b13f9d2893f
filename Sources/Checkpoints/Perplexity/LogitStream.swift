/// Rows of logits for the targets of a text's windows, in their order, from a model or a file.
public protocol LogitStream: AnyObject {
  var vocabularySize: Int { get }
  /// Up to `most` of the next rows `[rows][vocabulary]`, at least one. Traps behind the last.
  func next(_ most: Int) throws -> LogitBlock
}

/// Some rows of logits `[count][vocabulary]`, f32.
public struct LogitBlock: Sendable {
  public let values: [Float]
  public let vocabularySize: Int

  public init(_ values: [Float], vocabularySize: Int) {
    precondition(vocabularySize > 0 && values.count % vocabularySize == 0)
    self.values = values
    self.vocabularySize = vocabularySize
  }

  public var count: Int { values.count / vocabularySize }

  /// The first rows, and the others.
  func split(at row: Int) -> (LogitBlock, LogitBlock?) {
    guard row < count else { return (self, nil) }
    let index = row * vocabularySize
    return (
      LogitBlock(Array(values[..<index]), vocabularySize: vocabularySize),
      LogitBlock(Array(values[index...]), vocabularySize: vocabularySize)
    )
  }
}
