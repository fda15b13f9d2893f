internal import CKernels

extension CPUCompute {
  public func activate(_ values: Buffer, count: Int, _ activation: Activation) {
    let values = Self.numbers(values).slice(0, count)
    inParts(count) { start, count in
      // SAFETY: the slice has `count` numbers.
      unsafe level.kernels.pointee.gate(
        activation.kernel, values.slice(start, count).address, nil, count)
    }
  }

  public func gate(_ gate: Buffer, _ up: Buffer, count: Int, _ activation: Activation) {
    let gate = Self.numbers(gate).slice(0, count)
    let up = Self.numbers(up).slice(0, count)
    inParts(count) { start, count in
      // SAFETY: both slices have `count` numbers.
      unsafe level.kernels.pointee.gate(
        activation.kernel, gate.slice(start, count).address, up.slice(start, count).address, count)
    }
  }

  public func add(_ source: Buffer, count: Int, to target: Buffer) {
    add(Self.numbers(source).slice(0, count), 1, to: Self.numbers(target).slice(0, count))
  }

  private func add(_ source: Numbers, _ factor: Float, to target: Numbers) {
    inParts(target.count) { start, count in
      // SAFETY: both slices have `count` numbers.
      unsafe level.kernels.pointee.add_scaled(
        source.slice(start, count).address, factor, target.slice(start, count).address, count)
    }
  }

  public func scale(_ target: Buffer, count: Int, by factor: Float) {
    let target = Self.numbers(target).slice(0, count)
    inParts(count) { start, count in
      // SAFETY: the slice has `count` numbers.
      unsafe level.kernels.pointee.multiply(target.slice(start, count).address, count, factor)
    }
  }

  public func softcap(_ values: Buffer, count: Int, cap: Float) {
    let values = Self.numbers(values).slice(0, count)
    inParts(count) { start, count in
      // SAFETY: the slice has `count` numbers.
      unsafe level.kernels.pointee.softcap(values.slice(start, count).address, count, cap)
    }
  }

  public func scatter(
    _ source: Buffer, factors: [Float], rows: [Int32], width: Int, addingTo target: Buffer
  ) {
    precondition(factors.count == rows.count)
    guard width > 0 else { return }
    let source = Self.numbers(source)
    let target = Self.numbers(target)
    inRows(rows.count, width: width) { position in
      let row = target.slice(Int(rows[position]) * width, width)
      // SAFETY: both slices have `width` numbers; rows do not repeat.
      unsafe level.kernels.pointee.add_scaled(
        source.slice(position * width, width).address, factors[position], row.address, width)
    }
  }
}

extension Activation {
  var kernel: ck_activation {
    switch self {
    case .relu: ck_relu
    case .silu: ck_silu
    case .gelu: ck_gelu
    case .geluTanh: ck_gelu_tanh
    case .quickGelu: ck_quick_gelu
    }
  }
}
