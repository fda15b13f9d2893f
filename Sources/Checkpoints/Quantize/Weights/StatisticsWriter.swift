internal import Containers
internal import Kernels
internal import Quantizers
internal import TensorCore

/// Writes what a calibrated run learns of the inputs of linear layers as `LayerStatistics` reads it: `M.hessian` `[n,
/// n]` in f32 or f64 and `M.tokens` for each module M. A layer that no statistics were taken of (an expert that no
/// token reached) gets zeros.
final class StatisticsWriter {
  private let file: OutputFile
  private let places: [String: Int]
  private let byteCount: Int

  /// Makes the whole file, as zeros. Throws `io`.
  init(_ path: String, _ modules: [QuantizedModules.Module], _ dtype: DType) throws {
    let infos = modules.flatMap { module -> [TensorInfo] in
      let shape = Shape([module.columns, module.columns])
      return [
        shape.flatMap { TensorInfo(name: module.name + ".hessian", dtype: dtype, shape: $0) },
        TensorInfo(name: module.name + ".tokens", dtype: .i64, shape: [1]),
      ].compactMap(\.self)
    }
    guard infos.count == modules.count * 2 else {
      throw Failure(.internal, at: path, "a layer's second moments have no shape")
    }
    let layout = try SafetensorsLayout(tensors: infos, metadata: ["format": "pt"])
    places = Dictionary(uniqueKeysWithValues: layout.placements.map { ($0.info.name, $0.offset) })
    byteCount = layout.byteCount
    file = try OutputFile(path: path)
    try file.reserve(byteCount)
    try file.write(layout.header, at: 0)
  }

  /// Throws `io`.
  func write(_ hessian: Hessian, of module: String) throws {
    guard let place = places[module + ".hessian"], let count = places[module + ".tokens"] else {
      throw Failure(.internal, at: module, "its statistics have no place")
    }
    try hessian.withBytes { try file.write($0, at: place) }
    let tokens = UInt64(hessian.tokens)
    try file.write((0..<8).map { UInt8(truncatingIfNeeded: tokens >> (8 * $0)) }, at: count)
  }

  /// Gives the file its name. Throws `io`.
  func finish() throws { try file.commit(byteCount: byteCount, sync: false) }
}
