internal import Kernels
public import TensorCore

extension LayerReport {
  public var json: JSON {
    var json = JSONObject([
      "name": .string(name), "out_features": .integer(form.rows),
      "in_features": .integer(form.columns), "bits": .integer(form.grid.bits),
      "groups": .integer(form.groups), "act_order": .bool(form.grouping.isPermuted),
      "corner": [
        "codes": .array(corner.codes.map { .array($0.map { .integer($0) }) }),
        "offsets": .array(corner.offsets.map { .array($0.map { .real(Double($0)) }) }),
        "scales": .array(corner.scales.map { .array($0.map { .real(Double($0)) }) }),
        "weights": .array(corner.weights.map { .array($0.map { .real(Double($0)) }) }),
      ],
      "code_histogram": .array(codes.map { .integer($0) }),
      "zero_histogram": .array(
        zeros.map { ["zero": .integer($0.value), "count": .integer($0.count)] }),
      "scales": scales.json, "weights": weights.json,
      "dead_groups": .integer(deadGroups), "ambiguous_zeros": .integer(ambiguousZeros),
    ])
    if !remarks.members.isEmpty { json["state"] = .object(remarks) }
    return .object(json)
  }
}

extension TensorReport {
  public var json: JSON {
    [
      "name": .string(info.name), "dtype": .string(info.dtype.rawValue),
      "shape": .array(info.shape.dimensions.map { .integer($0) }),
      "values": values.map(\.json) ?? .null,
      "first": .array(first.map { .real(Double($0)) }),
    ]
  }
}

extension FloatStatistics {
  var json: JSON {
    [
      "count": .integer(count), "min": .real(Double(minimum)), "max": .real(Double(maximum)),
      "mean": mean.map(JSON.real) ?? .null, "std": standardDeviation.map(JSON.real) ?? .null,
      "nan": .integer(nanCount), "inf": .integer(infiniteCount), "zero": .integer(zeroCount),
    ]
  }
}
