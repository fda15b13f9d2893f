import ArgumentParser
import Checkpoints

/// Packing and reading back on all threads, from memory to memory, of one file's tensors.
struct BenchPack: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack", abstract: "Time packing and unpacking beside memcpy.")

  @Argument(help: "A .safetensors file.")
  var path: String

  @Option(help: "A folder for the container; it is removed again.")
  var scratch = "/tmp"

  @Option(help: "Counted runs of each side.")
  var runs = 7

  @Option(help: "The level of packing.")
  var level = 3

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  func run() throws {
    let file = try InputFile(path: path)
    let memory = try Memory(file)
    let header = try SafetensorsHeader(reading: memory)
    let source = PackedQuantSource(path: path.fileName, source: memory, header: header) {
      PackedTransform(for: $0.dtype)
    }
    let writer = try PackedQuantWriter(
      [source], writer: "nibble bench", level: level, threads: threads)
    let target = scratch + "/nibble-bench.pquant"
    defer { try? FileSystem.removeFolder(target) }
    let output = try OutputFile(path: target)
    let size = try writer.write(to: output).byteCount
    try output.commit(byteCount: size, sync: false)
    let container = try PackedQuantFile(Memory(InputFile(path: target)))
    let onDisk = try PackedQuantFile(path: target)
    var block = AlignedBytes(count: memory.size)
    let seconds = try Stopwatch.alternate(
      runs: runs,
      [
        { _ = try writer.write(to: nil) },
        { try read(container, into: &block) },
        { try read(onDisk, into: &block) },
        { _ = try container.check(threads: threads) },
      ])
    var table = Table([.left, .right, .right])
    table.add("\(Words.bytes(memory.size)), ratio \(ratio(size, memory.size))", "ms", "GB/s")
    let names = ["pack", "read from memory", "read from the file", "verify"]
    for (name, times) in zip(names, seconds) {
      let median = Stopwatch.median(times)
      table.add(
        name, Words.fixed(median * 1000, 1), Words.fixed(Double(memory.size) / median / 1e9, 2))
    }
    Terminal.print(table.text())
  }

  private func ratio(_ stored: Int, _ bytes: Int) -> String {
    Words.fixed(Double(stored) / Double(bytes), 4)
  }

  private func read(_ container: PackedQuantFile, into block: inout AlignedBytes) throws {
    var all = block.mutableBytes
    var start = 0
    for (index, blob) in container.directory.files[0].blobs.enumerated() {
      var part = all.part(start..<start + blob.byteCount)
      try container.read(into: &part, file: 0, blob: index, threads: threads)
      start += blob.byteCount
    }
  }

  /// A file that is in memory before the clock starts.
  private final class Memory: ByteSource {
    let path: String
    let size: Int
    private let bytes: [UInt8]

    init(_ file: InputFile) throws {
      (path, size) = (file.path, file.size)
      bytes = try file.contents(0..<file.size)
    }

    func read(into target: inout MutableRawSpan, at offset: Int) {
      target.copy(from: bytes.rawSpan.part(offset..<offset + target.byteCount))
    }
  }
}
