import TensorCore
import Testing

@Suite struct JSONTests {
  @Test func objectsKeepTheirOrder() {
    var object = JSONObject(["b": 1, "a": 2, "c": 3])
    object["a"] = 4
    object["d"] = 5
    #expect(object.keys == ["b", "a", "c", "d"])
    object["b"] = nil
    #expect(object.keys == ["a", "c", "d"])
    #expect(object["d"] == 5)
    #expect(object["b"] == nil)
    object["b"] = nil
    object["b"] = .null
    #expect(object.keys == ["a", "c", "d", "b"])
    #expect(object["b"] == .some(.null))
  }

  /// Around the count at which keys get an index.
  @Test(arguments: [1, 7, 8, 9, 10, 100])
  func findsEveryKey(_ count: Int) {
    var object = JSONObject()
    for number in 0..<count { object["k\(number)"] = .integer(number) }
    for number in 0..<count { object["k\(number)"] = .integer(number * 2) }
    #expect(object.keys == (0..<count).map { "k\($0)" })
    #expect(object.keys.allSatisfy { object[$0] != nil })
    #expect(object["k\(count - 1)"] == .integer(count * 2 - 2))
    object["k0"] = nil
    object["extra"] = true
    #expect(object.keys == (1..<count).map { "k\($0)" } + ["extra"])
    #expect(object["k\(count - 1)"] == (count == 1 ? nil : .integer(count * 2 - 2)))
    #expect(object["extra"] == true)
  }

  @Test func keysAreComparedByteByByte() {
    let object = JSONObject(["\u{E9}": 1, "e\u{301}": 2])
    #expect(object.members.count == 2)
    #expect(object["\u{E9}"] == 1)
    #expect(object["e\u{301}"] == 2)
  }

  @Test func numbersAreReadFromTheirSpelling() {
    #expect(JSON.number("12").int == 12)
    #expect(JSON.number("12.0").int == nil)
    #expect(JSON.number("18446744073709551615").int == nil)
    #expect(JSON.number("1e-05").double == 1e-5)
    #expect(JSON.real(0.1) == .number("0.1"))
    #expect(JSON.real(.nan).isNull)
    #expect(JSON.real(.infinity).isNull)
  }
}
