import TensorCore
import Testing

@Suite struct CheckedArithmeticTests {
  @Test func nilInsteadOfATrap() {
    #expect(Int.max.adding(1) == nil)
    #expect((Int.max - 1).adding(1) == Int.max)
    #expect(Int.min.subtracting(1) == nil)
    #expect(UInt64(0).subtracting(1) == nil)
    #expect(UInt64(3).subtracting(1) == 2)
    #expect(Int.max.multiplied(by: 2) == nil)
    #expect(Int.min.multiplied(by: -1) == nil)
    #expect(6.multiplied(by: 7) == 42)
  }

  @Test func rounding() {
    #expect(0.roundedUp(toMultipleOf: 8) == 0)
    #expect(1.roundedUp(toMultipleOf: 8) == 8)
    #expect(8.roundedUp(toMultipleOf: 8) == 8)
    #expect(Int.max.roundedUp(toMultipleOf: 8) == nil)
    #expect(5.roundedUp(toMultipleOf: 0) == nil)
    #expect(0.dividedRoundingUp(by: 3) == 0)
    #expect(1.dividedRoundingUp(by: 3) == 1)
    #expect(3.dividedRoundingUp(by: 3) == 1)
    #expect(Int.max.dividedRoundingUp(by: 2) == Int.max / 2 + 1)
  }
}

@Suite struct ShapeTests {
  @Test func counts() {
    #expect(Shape([])?.count == 1)
    #expect(Shape([2, 3])?.count == 6)
    #expect(Shape([5, 0])?.count == 0)
    #expect(Shape([2, 3])?.description == "[2, 3]")
    #expect(([2, 3] as Shape).matrix.map { [$0.rows, $0.columns] } == [2, 3])
    #expect(([2, 3, 4] as Shape).matrix == nil)
    #expect(([2, 3, 4] as Shape)[2] == 4)
    #expect(([2, 3, 4] as Shape).rank == 3)
  }

  @Test func refusesWhatDoesNotFit() {
    #expect(Shape([-1]) == nil)
    #expect(Shape([Int.max, 2]) == nil)
    #expect(Shape([Int.max, 2, 0]) == nil)
    #expect(Shape([0, Int.max, 2])?.count == 0)
  }

  @Test func bytes() {
    #expect(([2, 3] as Shape).byteCount(.f16) == 12)
    #expect(([] as Shape).byteCount(.f64) == 8)
    #expect(([3] as Shape).byteCount(.f4) == nil)
    #expect(([4] as Shape).byteCount(.f6e2m3) == 3)
    #expect(([0] as Shape).byteCount(.f4) == 0)
    #expect(Shape([Int.max])?.byteCount(.u8) == nil)
  }
}

@Suite struct DTypeTests {
  @Test func namesAndBits() {
    #expect(DType.allCases.count == 22)
    #expect(DType(rawValue: "BF16") == .bf16)
    #expect(DType(rawValue: "bf16") == nil)
    #expect(DType(rawValue: "I4") == nil)
    #expect(DType.bool.bits == 8)
    #expect(DType.f6e3m2.bits == 6)
    #expect(DType.c64.bits == 64)
    #expect("\(DType.f8e4m3)" == "F8_E4M3")
  }

  @Test func ranksAreInTheOrderOfTheReference() {
    #expect(DType.allCases.map(\.sortRank) == Array(0..<22))
    #expect(DType.f4.sortRank < DType.u8.sortRank)
  }

  @Test func floats() {
    #expect(DType.bf16.isFloat && DType.f4.isFloat && DType.f8e8m0.isFloat)
    #expect(!DType.bool.isFloat && !DType.u64.isFloat && !DType.c64.isFloat)
  }
}
