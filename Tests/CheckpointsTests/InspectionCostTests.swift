#if os(Linux)
  import Checkpoints
  import TensorCore
  import TestKit
  import Testing

  #if canImport(Glibc)
    import Glibc
  #elseif canImport(Musl)
    import Musl
  #endif

  /// What `inspect` reads of a model whose zero points alone are larger than it may read.
  @Suite struct InspectionCostTests {
    /// Bytes this process has asked its files for.
    private static func bytesRead() throws -> Int {
      // The file has no size, so it can't be read like others.
      // SAFETY: the name is lent for the call.
      let descriptor = unsafe open("/proc/self/io", O_RDONLY)
      defer { close(descriptor) }
      var text = [UInt8](repeating: 0, count: 4096)
      // SAFETY: the buffer has room for as many bytes.
      let count = unsafe read(descriptor, &text, text.count)
      let lines = String(decoding: text.prefix(max(count, 0)), as: UTF8.self).split(separator: "\n")
      let line = try #require(lines.first { $0.hasPrefix("rchar: ") })
      return try #require(Int(line.dropFirst("rchar: ".count)))
    }

    private static func write(_ layers: Int, to folder: String) throws {
      let (columns, rows, groupSize) = (256, 1024, 8)
      let groups = columns / groupSize
      let codes = [UInt8](repeating: 0x5A, count: columns * rows / 2)
      let zeros = [UInt8](repeating: 0x77, count: groups * rows / 2)
      let scales = [UInt8](repeating: 0x30, count: groups * rows * 2)
      let index = (0..<columns).flatMap { [UInt8($0 / groupSize), 0, 0, 0] as [UInt8] }
      var model = Model()
      for layer in 0..<layers {
        let name = "model.layers.\(layer).mlp.up_proj"
        model.add("\(name).qweight", .i32, [columns / 8, rows], codes)
        model.add("\(name).qzeros", .i32, [groups, rows / 8], zeros)
        model.add("\(name).scales", .f16, [groups, rows], scales)
        model.add("\(name).g_idx", .i32, [columns], index)
      }
      model.config = Model.gptqConfig(groupSize: groupSize)
      try model.write(to: folder)
    }

    /// Counted in a process of its own, since other tests read meanwhile.
    @Test func atMostOneMebibyteAndTheHeaders() async throws {
      let folder = try TemporaryFolder()
      try Self.write(68, to: folder.path("in"))
      await #expect(processExitsWith: .success) { [path = folder.path("in") as String] in
        let checkpoint = try Checkpoint(opening: path)
        let zeros = checkpoint.layers.reduce(0) { $0 + ($1.parts["qzeros"]?.byteCount ?? 0) }
        let headers = checkpoint.tensors.files.reduce(0) { $0 + $1.header.dataOffset }
        #expect(zeros > 1 << 20 && checkpoint.layers.count == 68)
        let before = try InspectionCostTests.bytesRead()
        let inspection = try Inspection(checkpoint)
        let read = try InspectionCostTests.bytesRead() - before
        #expect(inspection.zeroPoints?.summary.contains("stored 7") == true)
        #expect(read > 0 && read <= (1 << 20) + headers, "\(read) bytes")
      }
    }
  }
#endif
