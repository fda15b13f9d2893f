// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatWarning("StrictMemorySafety", as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// A room of the library: a folder under Sources, the rooms it may look into, and its tests.
func room(
  _ name: String, sees dependencies: [Target.Dependency] = [], settings: [SwiftSetting] = []
) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict + settings)
}

func tests(_ room: String, also dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: "\(room)Tests", dependencies: [.init(stringLiteral: room), "TestKit"] + dependencies,
    swiftSettings: strict)
}

let package = Package(
  name: "nibble",
  products: [
    .library(name: "Checkpoints", targets: ["Checkpoints"]),
    .executable(name: "nibble", targets: ["nibble"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    .systemLibrary(name: "CJSONC", pkgConfig: "json-c", providers: [.apt(["libjson-c-dev"])]),
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CLinux"),
    .target(name: "CKernels"),
    room(
      "TensorCore", sees: ["CJSONC", "CLinux"],
      settings: [.enableExperimentalFeature("Lifetimes")]),
    room("Kernels", sees: ["TensorCore", "CKernels", "COpenBLAS", "CZstd"]),
    room("Containers", sees: ["TensorCore", "Kernels"]),
    room("Codecs", sees: ["TensorCore", "Kernels"]),
    room("Quantizers", sees: ["TensorCore", "Kernels"]),
    room("Tokenizers", sees: ["TensorCore"]),
    room("Models", sees: ["TensorCore", "Kernels"]),
    room(
      "Checkpoints",
      sees: [
        "TensorCore", "Kernels", "Containers", "Codecs", "Quantizers", "Tokenizers", "Models",
      ]),
    .executableTarget(
      name: "nibble",
      dependencies: [
        "Checkpoints", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .target(
      name: "TestKit", dependencies: ["TensorCore"], path: "Tests/TestKit", swiftSettings: strict),
    tests("TensorCore"),
    tests("Kernels"),
    tests("Containers", also: ["TensorCore", "Kernels"]),
    tests("Tokenizers", also: ["TensorCore"]),
    tests("Models", also: ["TensorCore", "Kernels"]),
    tests("Quantizers", also: ["TensorCore", "Kernels", "Containers"]),
    tests("Codecs", also: ["TensorCore", "Kernels", "Containers"]),
    tests(
      "Checkpoints",
      also: ["TensorCore", "Kernels", "Containers", "Codecs", "Quantizers", "Models"]),
  ]
)
