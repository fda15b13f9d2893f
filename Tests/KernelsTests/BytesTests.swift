import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Transposes and passes over bytes")
struct BytesTests {
  @Test(
    "transposes of every shape", arguments: Processor.levels.map(\.name), [1, 2, 4])
  func transposes(level: String, size: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x54)
    for rows in sides {
      for columns in sides {
        let stride = columns + (rows + columns) % 3 * 3
        let count = rows == 0 ? 0 : (rows - 1) * stride + columns
        let source = random.bytes(count * size)
        let spacing = rows + (rows * 3 + columns) % 3 * 5
        let length = columns == 0 ? 0 : (columns - 1) * spacing + rows
        let turned = fenced(source, count: length * size) { source, target in
          for index in 0..<target.byteCount { target.set(UInt8(0xA5), at: index) }
          switch size {
          case 1:
            Transpose.bytes(
              source, rows: rows, columns: columns, stride: stride, spacing: spacing,
              into: &target, on: level)
          case 2:
            Transpose.halves(
              source, rows: rows, columns: columns, stride: stride, spacing: spacing,
              into: &target, on: level)
          default:
            Transpose.words(
              source, rows: rows, columns: columns, stride: stride, spacing: spacing,
              into: &target, on: level)
          }
        }
        let dense = (0..<rows).flatMap { row in
          source[row * stride * size..<(row * stride + columns) * size]
        }
        let expected = Reference.transpose(dense, rows: rows, columns: columns, size: size)
        var spaced = [UInt8](repeating: 0xA5, count: length * size)
        for column in 0..<columns {
          for byte in 0..<rows * size {
            spaced[column * spacing * size + byte] = expected[column * rows * size + byte]
          }
        }
        #expect(turned == spaced, "[\(rows)][\(columns)], \(random)")
      }
    }
  }

  @Test("differences, extremes, shifts and histograms", arguments: Processor.levels.map(\.name))
  func passes(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x55)
    for count in sizes + [1000] {
      for fill in Fill.allCases {
        let a = fill.bytes(count, from: &random)
        let b = a.map { random.next() % 4 == 0 ? $0 ^ 0x80 : $0 }
        var bins = [UInt64](repeating: 7, count: 256)
        let shifted = fenced(a, count: count) { bytes, target in
          #expect(
            Bytes.countDifferences(bytes, b.rawSpan, on: level)
              == Reference.countDifferences(a, b))
          #expect(Bytes.extremes(bytes, on: level) == Reference.extremes(a))
          Bytes.addHistogram(of: bytes, to: &bins, on: level)
          Bytes.shift(bytes, adding: 0xF9, mask: 0x3F, into: &target, on: level)
        }
        #expect(bins == Reference.histogram(a).map { $0 + 7 }, "\(count), \(fill), \(random)")
        #expect(shifted == Reference.shift(a, adding: 0xF9, mask: 0x3F))
        let wide = fenced(a, count: count * 2) { bytes, target in
          Bytes.widen(bytes, adding: 1, mask: 0x7F, into: &target, on: level)
        }
        let wider = Reference.widen(a, adding: 1, mask: 0x7F)
        #expect(wide == wider.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] })
        let inPlace = fenced(a, count: count) { bytes, target in
          target.copy(from: bytes)
          Bytes.shift(&target, adding: 1, on: level)
        }
        #expect(inPlace == Reference.shift(a, adding: 1, mask: 0xFF))
      }
    }
  }

  @Test("one different byte is seen wherever it is", arguments: Processor.levels.map(\.name))
  func oneDifference(level: String) throws {
    let level = try Processor.level(named: level)
    let same = [UInt8](repeating: 7, count: 100)
    #expect(Bytes.allEqual(same.rawSpan, to: 7, on: level) == true)
    #expect(Bytes.allEqual(same.rawSpan, to: 8, on: level) == false)
    #expect(Bytes.allEqual([UInt8]().rawSpan, to: 8, on: level) == true)
    for index in same.indices {
      var other = same
      other[index] ^= 0x10
      #expect(Bytes.countDifferences(same.rawSpan, other.rawSpan, on: level) == 1)
      #expect(Bytes.allEqual(other.rawSpan, to: 7, on: level) == false)
      #expect(Bytes.extremes(other.rawSpan, on: level) == 7...0x17)
    }
  }

  @Test("low bytes of 16-bit numbers, and the bits seen", arguments: Processor.levels.map(\.name))
  func narrow(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x56)
    for count in sizes {
      for fill in Fill.allCases {
        for subtrahend in [0, 1, 0x1FF] as [UInt16] {
          let bytes = fill.bytes(count * 2, from: &random)
          let numbers = (0..<count).map { UInt16(bytes[2 * $0]) | UInt16(bytes[2 * $0 + 1]) << 8 }
          let expected = Reference.narrow(numbers, subtracting: subtrahend)
          let found = fenced(bytes, count: count) { bytes, target in
            let seen = Bytes.narrow(
              bytes, subtracting: subtrahend, into: &target, on: level)
            #expect(seen == expected.seen, "\(count), \(fill), \(random)")
          }
          #expect(found == expected.bytes, "\(count), \(fill), \(random)")
        }
      }
    }
  }

  @Test("one bit too many is seen wherever it is", arguments: Processor.levels.map(\.name))
  func oneBitTooMany(level: String) throws {
    let level = try Processor.level(named: level)
    for index in 0..<100 {
      var numbers = [UInt8](repeating: 0, count: 200)
      numbers[2 * index] = 0x10
      _ = fenced(numbers, count: 100) { numbers, target in
        #expect(Bytes.narrow(numbers, into: &target, on: level) == 0x10)
      }
    }
  }

  @Test("one code of every byte", arguments: Processor.levels.map(\.name))
  func extract(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x55)
    for count in sizes {
      let bytes = random.bytes(count)
      for down in 0...7 {
        for mask in [0xFF, 15, 3, 1] as [UInt8] {
          let found = fenced(bytes, count: count) { bytes, target in
            Bytes.extract(bytes, down: down, mask: mask, into: &target, on: level)
          }
          #expect(found == Reference.extract(bytes, down: down, mask: mask), "\(count) \(down)")
        }
      }
    }
  }
}
