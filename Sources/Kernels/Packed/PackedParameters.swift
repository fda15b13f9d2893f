import CKernels
internal import TensorCore

/// Scales, zero points or added terms of a packed matrix, `[tiles][groups][32]`, in the smallest type that
/// holds all of them exactly.
struct PackedParameters: ~Copyable, Sendable {
  enum Encoding: Sendable, Equatable {
    /// All have one value, which is kept here alone.
    case uniform(Float)
    /// Whole numbers 0...255.
    case byte
    case float(DType)

    var byteCount: Int {
      switch self {
      case .uniform: 0
      case .byte: 1
      case .float(let type): type.bits / 8
      }
    }
  }

  let encoding: Encoding
  let groups: Int
  var bytes: AlignedBytes

  init(_ encoding: Encoding, tiles: Int, groups: Int) {
    self.encoding = encoding
    self.groups = groups
    bytes = AlignedBytes(count: tiles * groups * Int(ck_packed_rows) * encoding.byteCount)
  }

  private static let one: [Float] = [1]
  private static let none: [Float] = [0]

  /// Bytes of one tile's parameters.
  var tileByteCount: Int { groups * Int(ck_packed_rows) * encoding.byteCount }

  /// f32 parameters of one tile `[groups][32]` in an encoding, which holds them.
  static func encode(
    _ encoding: Encoding, _ values: RawSpan, into target: inout MutableRawSpan
  ) throws {
    switch encoding {
    case .uniform: break
    case .byte:
      for index in 0..<target.byteCount { target.set(UInt8(values.float32(at: index)), at: index) }
    case .float(let type): try FloatConversion.fromFloat32(type, values, into: &target)
    }
  }

  /// Groups `range` of one tile in f32, at their places in `values` `[groups][32]`.
  func decode(
    tile: Int, _ range: Range<Int>, into values: inout MutableRawSpan, on level: Processor.Level
  ) {
    let rows = Int(ck_packed_rows)
    let size = encoding.byteCount * rows
    let first = (tile * groups + range.lowerBound) * size
    var part = values.part(range.lowerBound * rows * 4..<range.upperBound * rows * 4)
    bytes.withBytes { all in
      let source = all.part(first..<first + range.count * size)
      switch encoding {
      case .uniform: break
      case .byte:
        // 1·(q − 0), all one group.
        Dequantize.affineRun(
          source, group: max(source.byteCount, 1), scales: Self.one.rawSpan,
          zeros: Self.none.rawSpan, into: &part, on: level)
      case .float(let type):
        // These types can be read.
        try? FloatConversion.toFloat32(type, source, into: &part, on: level)
      }
    }
  }
}

/// Which encodings hold all parameters seen so far.
struct PackedParameterSurvey {
  private var first: UInt32?
  private var isUniform = true
  private var isByte = true
  private var types: [DType] = [.f16, .bf16]

  /// Takes f32 `values` into account. Uses `workspace` for as many again.
  mutating func add(_ values: RawSpan, _ workspace: Workspace) throws {
    let count = values.byteCount / 4
    for index in 0..<count where isUniform || isByte {
      let bits = values.uint32(at: index)
      first = first ?? bits
      isUniform = isUniform && bits == first
      let value = Float(bitPattern: bits)
      isByte = isByte && value >= 0 && value <= 255 && value == value.rounded() && bits >> 31 == 0
    }
    types = try types.filter { try Self.holds($0, values, workspace) }
  }

  private static func holds(
    _ type: DType, _ values: RawSpan, _ workspace: Workspace
  ) throws -> Bool {
    try workspace.lend(values.byteCount / 2) { halves in
      try workspace.lend(values.byteCount) { floats in
        try FloatConversion.fromFloat32(type, values, into: &halves)
        try FloatConversion.toFloat32(type, halves.bytes, into: &floats)
        return Bytes.countDifferences(floats.bytes, values) == 0
      }
    }
  }

  mutating func merge(_ other: Self) {
    guard let value = other.first else { return }
    isUniform = isUniform && other.isUniform && (first ?? value) == value
    first = first ?? value
    isByte = isByte && other.isByte
    types = types.filter(other.types.contains)
  }

  /// The smallest one; scales are never uniform or whole.
  func encoding(isScale: Bool) -> PackedParameters.Encoding {
    if !isScale, isUniform { return .uniform(Float(bitPattern: first ?? 0)) }
    if !isScale, isByte { return .byte }
    return .float(types.first ?? .f32)
  }
}
