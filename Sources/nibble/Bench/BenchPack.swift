import ArgumentParser
import Checkpoints
import Glibc

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
    var spent = [[Double]](repeating: [], count: 4)
    func timed(_ side: Int, _ body: () throws -> Void) rethrows {
      let start = Self.processorSeconds
      try body()
      spent[side].append(Self.processorSeconds - start)
    }
    let seconds = try Stopwatch.alternate(
      runs: runs,
      [
        { try timed(0) { _ = try writer.write(to: nil) } },
        { try timed(1) { try read(container, into: &block) } },
        { try timed(2) { try read(onDisk, into: &block) } },
        { try timed(3) { _ = try container.check(threads: threads) } },
      ])
    var table = Table([.left, .right, .right, .right])
    table.add(
      "\(Words.bytes(memory.size)), ratio \(ratio(size, memory.size))", "ms", "GB/s", "CPU ms")
    let names = ["pack", "read from memory", "read from the file", "verify"]
    for ((name, times), spent) in zip(zip(names, seconds), spent) {
      let median = Stopwatch.median(times)
      table.add(
        name, Words.fixed(median * 1000, 1), Words.fixed(Double(memory.size) / median / 1e9, 2),
        Words.fixed(Stopwatch.median(spent) * 1000, 1))
    }
    Terminal.print(table.text())
  }

  /// What all threads have used of the processor: on a busy machine the fairer measure.
  private static var processorSeconds: Double {
    var usage = rusage()
    // SAFETY: the structure is a local variable.
    guard unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
    let times = [usage.ru_utime, usage.ru_stime]
    return times.reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) * 1e-6 }
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
  private final class Memory: ByteSource, @unchecked Sendable {
    let path: String
    let size: Int
    private let bytes: AlignedBytes

    init(_ file: InputFile) throws {
      (path, size) = (file.path, file.size)
      var block = AlignedBytes(count: file.size)
      var span = block.mutableBytes
      try file.read(into: &span, at: 0)
      bytes = block
    }

    func read(into target: inout MutableRawSpan, at offset: Int) {
      bytes.withBytes { target.copy(from: $0.part(offset..<offset + target.byteCount)) }
    }
  }
}
