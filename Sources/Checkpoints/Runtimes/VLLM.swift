extension Runtime {
  /// vLLM, whose kernels for packed integers are Marlin's (`Formats/runtimes.md`, VLLM-n).
  static let vllm = Runtime(
    name: "vllm",
    rules: [
      .declared("VLLM-1"),
      .keys("VLLM-2", Marlin.keys),
    ]
      + RuntimeRule.layouts(
        "VLLM-3",
        read: [
          "gptq", "gptq_v2", "awq", "compressed-tensors", "fp8", "mxfp4", "mxfp8", "nvfp4",
        ], refused: Layouts.awqVariants.union(["mlx"]), remedy: "nibble convert --to awq or gptq"
      ) + [
        Marlin.width("VLLM-4"),
        .honestSymmetry("VLLM-5"),
        Marlin.groupSizes("VLLM-6", of: Layouts.gptq, .error),
        Marlin.groupSizes("VLLM-7", of: ["awq"], .warning),
        .declaredActOrder("VLLM-8"),
        .heads("VLLM-9"),
        .wholeGroups("VLLM-10"),
        .wholeWords("VLLM-11"),
        Marlin.tiles("VLLM-12"),
        Marlin.actOrderTiles("VLLM-13"),
        Marlin.actOrderRanks("VLLM-14"),
        .uniformFused("VLLM-15"),
        .uniformExperts("VLLM-16"),
        .head("VLLM-17"),
        Marlin.castScales("VLLM-18"),
        Marlin.zeroPoint("VLLM-19"),
        Marlin.packedWidths("VLLM-20"),
      ])
}
