import Testing

@testable import Models

@Suite struct RoutesTests {
  @Test func theLargestSharesAreChosenAndTheFirstOfEqualOnes() {
    let routes = Routes(
      [0, 1, 1, -5, 3, 3, 0, 3], experts: 4, chosen: 2, normalizesShares: true)
    #expect(routes.tokens.map { $0.map(\.row) } == [[1], [0, 1], [0], []])
    #expect(routes.tokens[1].map(\.share) == [0.5, 0.5])
  }

  @Test func sharesAddUpToLessWhereTheyAreNotNormalized() {
    let routes = Routes([0, 0, 0, 0], experts: 4, chosen: 2, normalizesShares: false)
    #expect(routes.tokens[0][0].share == 0.25)
  }
}
