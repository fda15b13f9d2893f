import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// The whole checkpoints that fixtures were cut from, where `NIBBLE_GOLDENS` names their folder.
@Suite struct GoldensTests {
  @Test func everyCheckpointHoldsItsWritersNumbers() throws {
    guard let root = Fixtures.goldens else {
      print("skipped: all goldens; NIBBLE_GOLDENS names no folder")
      return
    }
    var read: [String] = []
    var skipped: [String] = []
    for name in try FileSystem.names(in: root) {
      guard let golden = try Self.golden(root + "/" + name) else {
        skipped.append(name)
        continue
      }
      try check(golden)
      read.append(name)
    }
    #expect(!read.isEmpty)
    print("decoded \(read.count) goldens: \(read.joined(separator: ", "))")
    print("skipped \(skipped.count) of other layouts: \(skipped.joined(separator: ", "))")
  }

  /// nil for folders that hold no checkpoint in a layout that is read.
  private static func golden(_ path: String) throws -> Golden? {
    guard FileSystem.kind(of: path + "/config.json") == .file,
      FileSystem.kind(of: path + "/expected.safetensors") == .file
    else { return nil }
    do {
      let golden = try Golden(path)
      return golden.layerNames.isEmpty ? nil : golden
    } catch let failure as Failure where failure.kind == .unsupported {
      return nil
    }
  }

  private func check(_ golden: Golden) throws {
    // Other writers spell codes and zero points their own way; their weights are the same to all.
    let spellsAlike = ["gptq", "gptq_v2", "awq"].contains(golden.codec.name)
    for name in golden.layerNames {
      let layer = try golden.open(name)
      let expected = try Expected(golden, name)
      let found =
        spellsAlike
        ? try DecodeChecks.agrees(layer, with: expected)
        : try DecodeChecks.weighsAlike(layer, with: expected)
      #expect(found == nil, "\(golden) \(name)")
    }
    guard golden.codec.isWritable else { return }
    // Every layer of the checkpoint, those without expectations too, is written as it was.
    for name in golden.codec.candidates(in: TensorTable(golden.tensors)) {
      try DecodeChecks.writesAlike(golden.open(name), golden.codec)
    }
  }

  /// Single layers with the codes they were packed from, in activation order among others.
  @Test func everyPackedLayerHoldsItsCodes() throws {
    guard let root = Fixtures.goldens, FileSystem.kind(of: root + "/layers-gptq") == .folder else {
      print("skipped: packed layers; NIBBLE_GOLDENS names no folder with layers-gptq")
      return
    }
    var count = 0
    for name in ["layer0", "layer1"] {
      let file = try LayerFile("\(root)/layers-gptq/\(name).safetensors")
      for number in 0..<8 where file.contains("case\(number).codes") {
        try check(file, "case\(number)")
        count += 1
      }
    }
    #expect(count > 8)
    print("decoded \(count) packed layers")
  }

  private func check(_ file: LayerFile, _ name: String) throws {
    let codes = try file.tensor("\(name).codes", named: "codes")
    let scale = try file.tensor("\(name).scale", named: "scale")
    let (columns, groups) = (codes.shape[1], scale.shape[1])
    for (codec, version) in [(GPTQ.v1, "v1"), (.v2, "v2")] {
      let tensors = try [
        "qweight": "qweight", "qzeros": "qzeros_\(version)", "scales": "scales_fp16",
        "g_idx": "g_idx",
      ].map { try file.tensor("\(name).pack.\($0.value)", named: "layer.\($0.key)") }
      let words = tensors.first { $0.name == "layer.qweight" }?.shape[0] ?? 0
      let layer = try Opened.layer(
        codec, tensors, bits: words * 32 / columns, groupSize: columns / groups,
        writer: "gptqmodel:7.7.0")
      let matrix = try QuantizedMatrix(layer)
      #expect(try mismatch(matrix.codes, codes.content()) == nil, "\(name) \(version)")
      let zeros = try file.floats("\(name).zero").map { UInt16($0) }
      #expect(mismatch(matrix.zeros, zeros) == nil, "\(name) \(version)")
      if codec.refusal(of: try layer.facts) == nil { try DecodeChecks.writesAlike(layer, codec) }
    }
  }
}
