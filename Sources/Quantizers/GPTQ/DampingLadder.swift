import Kernels

/// What is added to a Hessian's diagonal until it can be factored, by GPTQModel's rules: the part `damp` of
/// its mean, then part + increment and so on below 1, of which the first that suffices is found by
/// bisection; if none does, all again with 1e-6, 1e-5 … 1e-1 of the largest number added to the diagonal
/// before.
struct DampingLadder {
  struct Rung {
    let factor: SquareMatrix
    let root: SquareMatrix
    let damp: Double
    let floor: Double?
    let added: Double
  }

  private let matrix: SquareMatrix
  private let order: [Int]
  private let diagonal: [Float]
  private let settings: GPTQuantizer
  private let threads: Int
  private let store: MatrixStore?

  /// `diagonal` is in `order`, and 1 where an input is dead.
  init(
    _ matrix: SquareMatrix, order: [Int], diagonal: [Float], _ settings: GPTQuantizer, threads: Int,
    in store: MatrixStore?
  ) {
    (self.matrix, self.order, self.diagonal) = (matrix, order, diagonal)
    (self.settings, self.threads, self.store) = (settings, threads, store)
  }

  /// nil where nothing helps.
  func climb() -> Rung? {
    let largest = diagonal.map(\.magnitude).max() ?? 0
    let unit = largest > 0 ? Double(largest) * 1e-6 : 1e-6
    for attempt in 0...6 {
      let floor = attempt == 0 ? nil : unit * power(10, attempt - 1)
      if let rung = climb(floor) { return rung }
    }
    return nil
  }

  private func climb(_ floor: Double?) -> Rung? {
    let damps = self.damps
    if let rung = rung(damps[0], floor) { return rung }
    guard damps.count > 1, var best = rung(damps[damps.count - 1], floor) else { return nil }
    var (low, high) = (0, damps.count - 1)
    while high - low > 1 {
      let middle = (low + high) / 2
      if let rung = rung(damps[middle], floor) {
        (high, best) = (middle, rung)
      } else {
        low = middle
      }
    }
    return best
  }

  private var precision: SquareMatrix.Precision {
    settings.precision(columns: matrix.count, summedIn: matrix.precision)
  }

  /// The parts to be tried, each the last one plus the increment.
  private var damps: [Double] {
    var damps = [settings.dampPercent]
    while let last = damps.last, settings.dampAutoIncrement > 0,
      last + settings.dampAutoIncrement < 1
    {
      damps.append(last + settings.dampAutoIncrement)
    }
    return damps
  }

  private func rung(_ damp: Double, _ floor: Double?) -> Rung? {
    var now = diagonal
    if let floor = floor.map(Float.init) { now = diagonal.map { max($0 + floor, floor) } }
    let mean = Float(now.reduce(0) { $0 + Double($1) } / Double(now.count))
    let added = Float(damp) * mean
    let root = matrix.ordered(
      by: order, precision: precision, isTriangle: true, threads: threads, in: store)
    root.setDiagonal(now.map { $0 + added })
    guard root.factorReversed(threads: threads),
      let factor = root.invertedTriangle(threads: threads, in: store)
    else { return nil }
    return Rung(
      factor: factor, root: root, damp: damp, floor: floor, added: Double(added) + (floor ?? 0))
  }

  private func power(_ base: Double, _ exponent: Int) -> Double {
    (0..<exponent).reduce(1) { value, _ in value * base }
  }
}
