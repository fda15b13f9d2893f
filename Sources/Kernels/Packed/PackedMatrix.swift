import CKernels
internal import TensorCore

/// The run-time form of a packed weight: codes in tiles of 32 rows, in 4 or 8 bits, with their scales and
/// offsets in the smallest type that holds them exactly. Products read it once, front to back.
///
/// Three tile layouts: affine codes up to 4 bits, affine codes of 5 to 8 bits (signed bytes are those
/// with zero point 128), and 4-bit codes of a table. Columns of a group lie side by side; inputs of act-order weights are
/// gathered in that order.
public final class PackedMatrix: LoadedWeight, Sendable {
  public let form: QuantizedForm
  /// Bytes of codes and parameters: what a product reads.
  public let byteCount: Int
  let columnOrder: PackedColumns
  let grid: PackedGrid
  let codes: AlignedBytes
  let scales: PackedParameters
  let offsets: PackedParameters

  static let tileRows = Int(ck_packed_rows)

  /// Whether there is a layout for matrices of this form: affine codes up to 8 bits, tables of up to 16 values and
  /// signed bytes, in groups of columns of any kind.
  public static func canHold(_ form: QuantizedForm) -> Bool {
    guard PackedGrid(form.grid) != nil, form.rows > 0, form.columns > 0, form.groups > 0 else {
      return false
    }
    switch form.grouping {
    case .columns(let size): return size > 0
    case .map(let groups, let count):
      return groups.count == form.columns && groups.allSatisfy { (0..<count).contains(Int($0)) }
    }
  }

  /// Repacks a matrix in bands; memory besides the result is a band for each thread. Reads parameters
  /// twice and codes once, in parallel. Throws `unsupported` where `canHold` is false, and what the
  /// source throws.
  public init(_ source: any WeightSource, threads: Int = Processor.cores) throws {
    guard let form = source.form, Self.canHold(form), let grid = PackedGrid(form.grid) else {
      throw Failure(.unsupported, at: source.name, "is not of a form that can be multiplied packed")
    }
    self.form = form
    self.grid = grid
    columnOrder = PackedColumns(form)
    let loader = PackedLoader(
      source: source, form: form, grid: grid, columns: columnOrder, threads: threads)
    let (scaleEncoding, offsetEncoding) = try loader.survey()
    var codes = AlignedBytes(count: loader.tiles * loader.tileByteCount)
    var scales = PackedParameters(scaleEncoding, tiles: loader.tiles, groups: form.groups)
    var offsets = PackedParameters(offsetEncoding, tiles: loader.tiles, groups: form.groups)
    try loader.load(&codes, &scales, &offsets)
    byteCount = codes.count + scales.bytes.count + offsets.bytes.count
    self.codes = codes
    self.scales = scales
    self.offsets = offsets
  }

  public var rows: Int { form.rows }
  public var columns: Int { form.columns }
  /// Whether codes stand for values of a table.
  public var isTable: Bool { grid.isTable }
  var tiles: Int { rows.dividedRoundingUp(by: Self.tileRows) }
  var tileByteCount: Int { Self.tileRows * columnOrder.packedCount * grid.bits / 8 }
  /// Whether 8-bit activations can be used: all but tables that are not finite or have offsets.
  public var takesInt8: Bool {
    !grid.isTable || grid.wholeTable != nil && form.offset == .none
  }
}
