/// The states of one parameter in 32 bits.
public struct DenseOptimizerState: Equatable, Sendable {
  /// The momentum; squares for RMSprop and Adagrad.
  public internal(set) var first: [Float]
  /// AdEMAMix' slow average.
  public internal(set) var slow: [Float]?
  /// Squares, for methods that have them beside the first.
  public internal(set) var squares: [Float]?
  /// The steps taken.
  public internal(set) var step = 0

  public init(first: [Float], slow: [Float]? = nil, squares: [Float]? = nil, step: Int = 0) {
    (self.first, self.slow, self.squares, self.step) = (first, slow, squares, step)
  }

  /// Zeros for `count` values.
  public init(count: Int, method: Optimizer.Method) {
    let zeros = [Float](repeating: 0, count: count)
    self.init(
      first: zeros, slow: method == .ademamix ? zeros : nil,
      squares: method.hasSquares ? zeros : nil)
  }
}

/// The states of one parameter in 8 bits.
public struct BlockwiseOptimizerState: Equatable, Sendable {
  public internal(set) var first: BlockwiseState
  public internal(set) var slow: BlockwiseState?
  public internal(set) var squares: BlockwiseState?
  public internal(set) var step = 0

  public init(
    first: BlockwiseState, slow: BlockwiseState? = nil, squares: BlockwiseState? = nil,
    step: Int = 0
  ) {
    (self.first, self.slow, self.squares, self.step) = (first, slow, squares, step)
  }

  /// Zeros for `count` values, with the maps of the peer: signed for the first, squares or not.
  public init(count: Int, method: Optimizer.Method) {
    let signed = BlockwiseState(count: count, map: DynamicMap.signed)
    self.init(
      first: signed, slow: method == .ademamix ? signed : nil,
      squares: method.hasSquares ? BlockwiseState(count: count, map: DynamicMap.unsigned) : nil)
  }
}

extension DenseOptimizerState {
  /// The values of 8-bit states. O(values).
  public init(_ state: BlockwiseOptimizerState) {
    self.init(
      first: state.first.values, slow: state.slow?.values, squares: state.squares?.values,
      step: state.step)
  }
}

extension BlockwiseOptimizerState {
  /// 32-bit states in 8 bits, rounded as a step would. O(values).
  public init(
    quantizing state: DenseOptimizerState, block: Int = BlockwiseState.standardBlock,
    rules: PeerRules = .cuda
  ) {
    func signed(_ values: [Float]) -> BlockwiseState {
      BlockwiseState(
        quantizing: values, map: DynamicMap.signed, keepsSign: true, block: block, rules: rules)
    }
    self.init(
      first: signed(state.first), slow: state.slow.map(signed),
      squares: state.squares.map {
        BlockwiseState(
          quantizing: $0, map: DynamicMap.unsigned, keepsSign: false, block: block, rules: rules)
      }, step: state.step)
  }
}
