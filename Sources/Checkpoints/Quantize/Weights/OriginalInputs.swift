internal import Models

/// What the layers of the unquantized model read, beside what those of the quantized one do: GPTAQ answers for the
/// difference. The hidden states are the unquantized model's own, moved on by its own blocks.
struct OriginalInputs {
  let inputs: BlockInputs
  /// The block before any of its layers is rounded.
  let block: DecoderBlock

  /// What groups of layers read in a run of windows, by the group's place; `halves` are those to run.
  func values(
    of places: [String: Int], _ halves: [BlockHalf], run index: Int
  ) throws -> [Int: [Float]] {
    var found: [Int: [Float]] = [:]
    _ = try inputs.clock.measure(.forward) {
      try inputs.run.run(
        block, halves, inputs.states[index], sequences: inputs.states.runs[index].sequences
      ) { readers, _, _, values in
        guard let place = readers.lazy.compactMap({ places[$0] }).first else { return true }
        found[place] = try values()
        return found.count < places.count
      }
    }
    return found
  }

  /// Moves the states past the block.
  func leave() throws { try inputs.leave(block) }
}

extension CalibratedRun {
  /// Those of a block that its states stand before; nil where nothing is to answer for them.
  func originalInputs(_ block: DecoderBlock) -> OriginalInputs? {
    originals.map {
      OriginalInputs(
        inputs: BlockInputs(
          $0, run, clock, room: 0, threads: plan.options.threads, movesOn: true), block: block)
    }
  }
}
