public import Codecs
internal import Containers
public import TensorCore

extension Inspection {
  /// Everything the text form shows, for programs. Keys are stable.
  public var json: JSON {
    var object = JSONObject([
      "path": .string(checkpoint.path),
      "files": .array(checkpoint.tensors.files.map(Self.json)),
      "architecture": architecture.map(JSON.string) ?? .null,
      "quantization": .string(quantization),
      "scheme": checkpoint.config.scheme.map(\.json) ?? .null,
      "weights": .integer(weights),
      "packed_weights": .integer(packedWeights),
      "bytes": .integer(byteCount),
      "packed_bytes": .integer(packedBytes),
      "bits_per_weight": bitsPerWeight.map(JSON.real) ?? .null,
      "packed_bits_per_weight": packedBitsPerWeight.map(JSON.real) ?? .null,
    ])
    object["layers"] = .array(checkpoint.layers.map(\.json))
    object["tensors"] = .array(checkpoint.tensors.tensors.map(\.json))
    object["zero_points"] = zeroPoints?.json ?? .null
    object["findings"] = .array(findings.map(\.json))
    return .object(object)
  }

  private static func json(_ file: ShardedTensors.File) -> JSON {
    [
      "name": .string(file.name), "bytes": .integer(file.size),
      "tensors": .integer(file.header.tensors.count),
      "metadata": .object(file.header.metadata),
    ]
  }
}

extension Scheme {
  var json: JSON {
    [
      "layout": .string(layout), "bits": .integer(defaults.bits),
      "group_size": .integer(defaults.groupSize), "sym": .bool(defaults.symmetric),
      "desc_act": .bool(defaults.actOrder), "lm_head": .bool(quantizesHead),
      "overrides": .integer(overrides.count), "writer": writer.map(JSON.string) ?? .null,
    ]
  }
}

extension LayerClaim {
  public var json: JSON {
    [
      "name": .string(name), "layout": .string(layout), "out_features": .integer(rows),
      "in_features": .integer(columns), "bits": .integer(bits),
      "group_size": .integer(groupSize), "bytes": .integer(byteCount),
      "parts": .strings(parts.keys.sorted()),
    ]
  }
}

extension Tensor {
  /// Name, dtype, shape and place of a tensor, for programs.
  public var json: JSON {
    [
      "name": .string(name), "dtype": .string(dtype.rawValue),
      "shape": .array(shape.dimensions.map { .integer($0) }), "bytes": .integer(byteCount),
      "file": .string(source.path.fileName), "offset": .integer(offset),
    ]
  }
}

extension Finding {
  public var json: JSON {
    var object = failure.json.object ?? JSONObject()
    object["severity"] = .string(severity.rawValue)
    object["names"] = .strings(names)
    return .object(object)
  }
}

extension Failure {
  /// The failure for programs: `kind`, `place`, `what`, `expected`, `found`, `rule`, `remedy`,
  /// `details`, and where there are any `reasons`, with all names.
  public var json: JSON {
    var object = plainJSON.object ?? JSONObject()
    if !reasons.isEmpty {
      object["reasons"] = .array(
        reasons.map { ["reason": .string($0.text), "names": .strings($0.names)] })
    }
    return .object(object)
  }

  private var plainJSON: JSON {
    [
      "kind": .string(kind.rawValue), "place": .string(place), "what": .string(what),
      "expected": expected.map(JSON.string) ?? .null, "found": found.map(JSON.string) ?? .null,
      "rule": rule.map(JSON.string) ?? .null, "remedy": remedy.map(JSON.string) ?? .null,
      "details": .strings(details),
    ]
  }
}
