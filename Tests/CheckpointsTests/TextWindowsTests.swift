import Checkpoints
import Testing

@Suite struct TextWindowsTests {
  @Test func windowsThatDoNotOverlap() throws {
    let windows = try TextWindows(tokens: 1000, context: 128)
    #expect(windows.count == 7)
    #expect(windows[6] == 768..<896)
    #expect(windows.targets(1) == 129..<256)
    #expect(windows.targetCount == 7 * 127)
    #expect(try TextWindows(tokens: 1000, context: 128, atMost: 3).count == 3)
  }

  /// Every token but the first is predicted once, whatever the stride.
  @Test(arguments: [2, 3, 17, 64, 100]) func slidingWindows(stride: Int) throws {
    for tokens in [2, 50, 100, 101, 137, 300, 1000] {
      let windows = try TextWindows(tokens: tokens, context: 100, stride: stride)
      var next = 1
      var targetCount = 0
      for window in 0..<windows.count {
        let targets = windows.targets(window)
        #expect(targets.lowerBound == next || targets.lowerBound == windows[window].lowerBound + 1)
        #expect(windows[window].count <= 100 && !targets.isEmpty)
        #expect(windows.targetCount(before: window) == targetCount)
        next = targets.upperBound
        targetCount += targets.count
      }
      #expect(windows.targetCount == targetCount)
      #expect(next == tokens || stride == 100 && next == tokens - 1)
    }
  }

  @Test func refused() {
    for arguments in [(10, 1, nil), (10, 11, nil), (10, 5, 6), (10, 5, 0), (1, 5, 2)] {
      #expect(throws: Failure.self) {
        try TextWindows(tokens: arguments.0, context: arguments.1, stride: arguments.2)
      }
    }
  }
}
