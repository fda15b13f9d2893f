internal import Codecs
internal import Kernels
internal import Synchronization
public import TensorCore

/// How far the weights of a layer moved when it was rounded anew.
public struct RequantizationError: Sendable {
  public let name: String
  /// The largest change of a weight.
  public let maximum: Double
  /// The root of the summed squares of the changes, relative to that of the weights.
  public let relative: Double

  /// Decodes both forms of every layer that was requantized. Throws `io`.
  static func measure(_ layers: [FittedLayer], threads: Int) throws -> [RequantizationError] {
    let changed = layers.filter(\.isRequantized)
    let results = Gathered<RequantizationError>(count: changed.count)
    try parallelBands(changed.count, threads: threads) { index, workspace in
      results.set(try Self(changed[index], workspace), at: index)
    }
    return results.values
  }

  private init(_ layer: FittedLayer, _ workspace: Workspace) throws {
    var (largest, change, size) = (0.0, 0.0, 0.0)
    for band in layer.source.form.bands(.outputMajor, bytes: BandSize.turned / 4) {
      try workspace.lend(band.count * 4) { before in
        try layer.source.readWeights(band, into: &before, workspace)
        try workspace.lend(band.count * 4) { after in
          try layer.fitted.readWeights(band, into: &after, workspace)
          for index in 0..<band.count {
            let weight = Double(before.bytes.float32(at: index))
            let difference = Double(after.bytes.float32(at: index)) - weight
            largest = max(largest, difference.magnitude)
            change += difference * difference
            size += weight * weight
          }
        }
      }
    }
    name = layer.source.name
    maximum = largest
    relative = size > 0 ? (change / size).squareRoot() : 0
  }

  public var json: JSON {
    [
      "name": .string(name), "max_change": .real(maximum), "relative_rms_change": .real(relative),
    ]
  }
}
