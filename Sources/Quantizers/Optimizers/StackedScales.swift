/// The scales of the fast and the slow average in one row behind each other, where the kernels look
/// for those of slow block b at ⌊count/256⌋ + b.
///
/// Unless 256 divides the count that is one place too early, and slow block 0 shares the place of
/// the last fast block. On a GPU either may write it last; here it is the fast one.
struct StackedScales {
  private var scales: [Float]
  private let blocks: Int
  private let slowStart: Int

  init(_ state: BlockwiseOptimizerState) {
    blocks = state.first.absmax.count
    slowStart = state.first.codes.count / state.first.block
    scales = state.first.absmax + (state.slow?.absmax ?? [])
  }

  func first(_ block: Int) -> Float { scales[block] }
  func slow(_ block: Int) -> Float { scales[slowStart + block] }

  mutating func setFirst(_ block: Int, _ scale: Float) { scales[block] = scale }
  mutating func setSlow(_ block: Int, _ scale: Float) { scales[slowStart + block] = scale }

  func store(in state: inout BlockwiseOptimizerState) {
    state.first.absmax = Array(scales[..<blocks])
    if state.slow != nil { state.slow?.absmax = Array(scales[blocks...]) }
  }
}
