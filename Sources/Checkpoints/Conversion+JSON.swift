import Codecs
import Containers
import Kernels
import TensorCore

extension ConversionPlan {
  public var json: JSON {
    var object = fields
    object["quantized"] = quantized?.json
    return .object(object)
  }

  private var fields: JSONObject {
    JSONObject([
      "source": .string(source.path),
      "to": .string(options.target.name),
      "assume_version": options.assumeVersion.map { .string($0.rawValue) } ?? .null,
      "assume_zeros": options.assumeZeros.map { .string($0.rawValue) } ?? .null,
      "scheme": scheme.map(\.json) ?? .null,
      "packed_layers": .array(layers.map(\.json)),
      "folded": folding.json,
      "written_dense": .strings(rest.map(\.name)),
      "packed_sources": .strings(packedSources),
      "notes": .strings(notes),
      "warnings": .array(warnings.map(\.json)),
      "padding": padding.map(\.json) ?? .null,
      "files": .array(
        shards.shards.map {
          ["name": .string($0.name), "bytes": .integer($0.layout.byteCount)]
        }),
      "tensors": .array(outputs.map(\.json)),
      "source_tensors": .array(fates.map(\.json)),
      "side_files": .strings(sideFiles.carried),
      "left_behind": .array(
        sideFiles.left.map { ["path": .string($0.path), "reason": .string($0.reason)] }),
      "configs": .strings(configs.map(\.name)),
    ])
  }
}

extension RankPadding {
  public var json: JSON {
    [
      "ranks": .integer(ranks), "key": .string(key), "from": .integer(old), "to": .integer(new),
    ]
  }
}

extension FittedLayer {
  var json: JSON {
    ["name": .string(source.name), "changes": .strings(changes.map(\.description))]
  }
}

extension FittedLayer.Change: CustomStringConvertible {
  public var description: String {
    switch self {
    case .splitGroups(let from, let to): "groups of \(from) split into \(to)"
    case .castScales(let types): "scales cast from \(types), exactly"
    case .restated: "scales restated for another rule of decoding, every weight the same"
    case .reorderedOutputs: "outputs in the order of the layer that reads them"
    case .sortedInputs: "inputs in the order of their groups"
    case .recoveredZeros(0): "added terms read as whole zero points, exactly"
    case .recoveredZeros(let difference):
      "added terms read as whole zero points; weights move by at most \(difference)"
    case .padded(let rows, let columns):
      rows > 0 ? "\(rows) outputs of zeros" : "\(columns) inputs of zeros"
    case .requantized: "rounded anew"
    }
  }
}

extension ConversionPlan.Output {
  var json: JSON {
    let origin: (how: String, from: String) =
      switch recipe {
      case .copy(let tensor): ("copied", tensor.name)
      case .encode(_, let layer): ("encoded", layer.name)
      case .pad: ("padded", info.name)
      case .reorder: ("reordered", info.name)
      case .quantize(_, let weight, _): ("quantized", weight.name)
      }
    return [
      "name": .string(info.name), "dtype": .string(info.dtype.rawValue),
      "shape": .array(info.shape.dimensions.map { .integer($0) }),
      "bytes": .integer(info.byteCount), "how": .string(origin.how), "from": .string(origin.from),
    ]
  }
}

extension ConversionReport {
  public var json: JSON {
    var object = fields
    object["quantized"] = quantized?.json
    return .object(object)
  }

  private var fields: JSONObject {
    JSONObject([
      "output": .string(path), "to": .string(target.name), "lossless": .bool(isLossless),
      "codes": .integer(codes), "scales": .integer(scales), "zeros": .integer(zeros),
      "differing": .integer(
        layers.reduce(0) { $0 + $1.differingCodes + $1.differingScales + $1.differingZeros }),
      "carried_tensors": .integer(carriedTensors), "bytes": .integer(byteCount),
      "padding": padding.map(\.json) ?? .null, "requantized": .array(errors.map(\.json)),
      "folded": folding.json,
      "written_dense": .strings(rest?.names ?? []),
      "layers": .array(layers.map(\.json)),
      "source_tensors": .array(fates.map(\.json)),
      "manifest_seconds": manifestSeconds.map(JSON.real) ?? .null,
    ])
  }
}
