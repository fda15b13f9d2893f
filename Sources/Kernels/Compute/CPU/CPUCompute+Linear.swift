internal import CKernels
internal import TensorCore

extension CPUCompute {
  /// Rows and columns of a weight's tile: half of a second-level cache of 1 MB in f32.
  private static let tileRows = 256
  private static let tileColumns = 512
  /// Tokens of a task.
  private static let tileTokens = 1024
  /// Bytes of weights that a task of few tokens reads at least.
  private static let taskBytes = 256 << 10

  public func load(
    _ source: any WeightSource, activations: ActivationRule
  ) throws -> any LoadedWeight {
    try CPUWeight(source, activations, threads: threads, on: level)
  }

  /// Up to `fewTokens` tokens read the weight once, in its own type; more take it in tiles of f32 through
  /// OpenBLAS. `ActivationRule.int8` takes effect for few tokens of packed weights alone, with the error
  /// that `PackedMatrix.multiply` states; the other rules round the input first.
  public func linear(
    _ input: Buffer, tokens: Int, _ weight: any LoadedWeight, bias: Buffer?, into output: Buffer
  ) {
    let weight = Self.open(weight)
    let count = tokens * weight.columns
    guard tokens > 0, weight.rows > 0, weight.columns > 0 else { return }
    let values = rounded(Self.numbers(input).slice(0, count), weight)
    let results = Self.numbers(output).slice(0, tokens * weight.rows)
    withExtendedLifetime(values) {
      if tokens > Self.fewTokens {
        multiplyMany(values.numbers, tokens, weight, into: results)
      } else {
        multiplyFew(values.numbers, tokens, weight, into: results)
      }
    }
    guard let bias = bias.map({ Self.numbers($0).slice(0, weight.rows) }) else { return }
    inRows(tokens, width: weight.rows) { token in
      // SAFETY: both have as many numbers as the weight has rows.
      unsafe level.kernels.pointee.add_scaled(
        bias.address, 1, results.slice(token * bias.count, bias.count).address, bias.count)
    }
  }

  public func embed(
    _ ids: [Int32], _ weight: any LoadedWeight, factor: Float, into output: Buffer
  ) throws {
    let weight = Self.open(weight)
    let output = Self.numbers(output)
    let columns = weight.columns
    guard columns > 0 else { return }
    try parallelBands(ids.count, threads: ids.count > 8 ? threads : 1) { position, workspace in
      let id = Int(ids[position])
      let row = output.slice(position * columns, columns)
      row.withMutableBytes {
        weight.read(id..<id + 1, 0..<columns, into: &$0, workspace, on: level)
      }
      // SAFETY: the slice has `columns` numbers.
      if factor != 1 { unsafe level.kernels.pointee.multiply(row.address, columns, factor) }
    }
  }

  static func open(_ weight: any LoadedWeight) -> CPUWeight {
    guard let weight = weight as? CPUWeight else {
      preconditionFailure("a weight of another device")
    }
    return weight
  }

  /// Numbers, and who owns them where they were made for the call.
  private struct Input {
    let numbers: Numbers
    let owner: CPUBuffer?
  }

  private func rounded(_ input: Numbers, _ weight: CPUWeight) -> Input {
    switch weight.activations {
    case .float, .int8: return Input(numbers: input, owner: nil)
    case .llmInt8, .dynamicInt8, .dynamicFP8:
      // SAFETY: read while the caller's buffer lives.
      let values = weight.activations.rounded(
        unsafe Array(input.values), columns: weight.columns)
      let owner = CPUBuffer(count: values.count)
      write(values.rawSpan, to: owner, at: 0)
      return Input(numbers: owner.numbers, owner: owner)
    }
  }

  private func multiplyFew(
    _ input: Numbers, _ tokens: Int, _ weight: CPUWeight, into output: Numbers
  ) {
    switch weight.storage {
    case .dense(let weight): multiplyFew(input, tokens, weight, into: output)
    case .packed(let matrix):
      var (group, usesInt8): (Int?, Bool) = (nil, false)
      if case .int8(let size) = weight.activations { (group, usesInt8) = (size, true) }
      input.withBytes { input in
        output.withMutableBytes { output in
          matrix.multiply(
            input, tokens: tokens, int8Group: group, usesInt8: usesInt8, into: &output,
            threads: threads, on: level)
        }
      }
    }
  }

  private func multiplyFew(
    _ input: Numbers, _ tokens: Int, _ weight: DenseWeight, into output: Numbers
  ) {
    let (rows, columns) = (weight.rows, weight.columns)
    let size = max(1, Self.taskBytes * 8 / (columns * weight.type.bits))
    parallelFor(rows.dividedRoundingUp(by: size), threads: threads) { task in
      let range = task * size..<min((task + 1) * size, rows)
      weight.withRows(range) { bytes in
        unsafe lend(bytes) { address, _ in
          // SAFETY: the rows lie at `address`, input has tokens × columns and output tokens × rows numbers.
          unsafe level.kernels.pointee.dot_rows(
            weight.kind, address, range.count, columns, columns, input.address, columns, tokens,
            output.address + range.lowerBound, rows)
        }
      }
    }
  }

  private func multiplyMany(
    _ input: Numbers, _ tokens: Int, _ weight: CPUWeight, into output: Numbers
  ) {
    let (rows, columns) = (weight.rows, weight.columns)
    // Narrow matrices give work to several threads too.
    let high = min(Self.tileRows, max(32, rows.dividedRoundingUp(by: 4 * 32) * 32))
    let down = rows.dividedRoundingUp(by: high)
    let across = tokens.dividedRoundingUp(by: Self.tileTokens)
    try? parallelBands(down * across, threads: threads) { task, workspace in
      let first = task % across * Self.tileTokens
      let count = min(Self.tileTokens, tokens - first)
      let low = task / across * high
      multiply(
        input.slice(first * columns, count * columns), count, weight,
        low..<min(low + high, rows), into: output.slice(first * rows, count * rows), workspace)
    }
  }

  /// Some outputs of some tokens, tile by tile along the columns.
  private func multiply(
    _ input: Numbers, _ tokens: Int, _ weight: CPUWeight, _ range: Range<Int>,
    into output: Numbers, _ workspace: Workspace
  ) {
    let columns = weight.columns
    let wide = min(columns, weight.isReadInWholeRows ? columns : Self.tileColumns)
    workspace.lend(range.count * wide * 4) { scratch in
      for first in stride(from: 0, to: columns, by: wide) {
        let part = first..<min(first + wide, columns)
        var tile = scratch.part(0..<range.count * part.count * 4)
        weight.read(range, part, into: &tile, workspace, on: level)
        // SAFETY: the tile is range × part, input tokens × columns, output tokens × rows.
        unsafe tile.withUnsafeMutableBytes { bytes in
          let tile = unsafe Numbers(bytes)
          unsafe BLAS.multiply(
            BLAS.Tile(input.address + first, stride: columns),
            BLAS.Tile(tile.address, stride: part.count), rows: tokens, columns: range.count,
            depth: part.count, keeping: first == 0 ? 0 : 1,
            into: output.address + range.lowerBound, stride: weight.rows)
        }
      }
    }
  }
}

extension CPUWeight {
  /// Whether parts of rows cost as much as whole ones: act-order weights.
  fileprivate var isReadInWholeRows: Bool {
    guard case .packed(let matrix) = storage else { return false }
    return matrix.form.grouping.isPermuted
  }
}
