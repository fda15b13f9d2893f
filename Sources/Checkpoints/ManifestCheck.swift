import Codecs
import Containers
import TensorCore

/// Compares what a manifest says with what is there; each difference is a finding.
struct ManifestCheck {
  let stated: Manifest
  let found: Manifest
  /// The path of the manifest, for errors.
  let place: String

  /// Reads the manifest beside a checkpoint and hashes all there is; nil where there is none.
  init?(of checkpoint: Checkpoint, threads: Int) throws {
    let contents = checkpoint.tensors.contents
    guard Manifest.coversFolder(checkpoint.path),
      let bytes = try contents.contents(of: Manifest.fileName, limit: Manifest.limit)
    else { return nil }
    place = contents.path + "/" + Manifest.fileName
    stated = try Manifest(parsing: bytes, at: place)
    found = try Manifest(of: checkpoint.path, checkpoint.tensors, threads: threads)
  }

  /// Digests that were compared.
  var count: Int { stated.files.count + stated.tensors.count }

  var findings: [Finding] {
    let files = Pairs(stated.files, found.files, by: \.path)
    // Their tensors are gone with them: one finding for all.
    let lost = Set(
      files.all.compactMap { stated, found -> String? in
        guard let stated, stated.holdsTensors, found?.holdsTensors != true else { return nil }
        return stated.path
      })
    let tensors = Pairs(stated.tensors, found.tensors, by: \.info.name)
    return files.all.flatMap { finding($0, $1) }
      + tensors.all.flatMap { stated, found -> [Finding] in
        if found == nil, let stated, lost.contains(stated.file) { return [] }
        return finding(stated, found)
      }
  }

  private func finding(
    _ name: String, _ what: String, expected: String? = nil, found: String? = nil, _ rule: String
  ) -> Finding {
    let failure = Failure(
      .differs, at: place, what, expected: expected, found: found, rule: rule)
    return Finding(.error, failure, names: [name])
  }

  private func finding(_ stated: Manifest.File?, _ found: Manifest.File?) -> [Finding] {
    guard let stated else {
      let path = found?.path ?? ""
      return [finding(path, "file \"\(path)\" is not in the manifest", "MAN-11")]
    }
    let path = stated.path
    guard let found else {
      let held = tensors.count { $0.file == path }
      let loss = stated.holdsTensors ? "none, with \(held) tensors lost" : "none"
      return [
        finding(
          path, "file \"\(path)\" is missing", expected: "\(stated.byteCount) bytes", found: loss,
          "MAN-10")
      ]
    }
    guard stated.byteCount == found.byteCount else {
      return [
        finding(
          path, "file \"\(path)\" has another size", expected: "\(stated.byteCount) bytes",
          found: "\(found.byteCount)", "MAN-12")
      ]
    }
    guard stated != found else { return [] }
    let what =
      stated.holdsTensors && !found.holdsTensors
      ? "file \"\(path)\" holds no tensors that can be read"
      : "file \"\(path)\" has \(stated.holdsTensors ? "another header" : "other bytes")"
    return [finding(path, what, "MAN-12")]
  }

  private var tensors: [Manifest.Entry] { stated.tensors }

  private func finding(_ stated: Manifest.Entry?, _ found: Manifest.Entry?) -> [Finding] {
    guard let stated else {
      return found.map {
        [finding($0.info.name, "tensor \($0.info) is not in the manifest", "MAN-14")]
      } ?? []
    }
    let name = stated.info.name
    guard let found else {
      return [finding(name, "tensor \(stated.info) is missing", "MAN-13")]
    }
    guard stated.info == found.info, stated.file == found.file else {
      return [
        finding(
          name, "tensor \"\(name)\" is another",
          expected: "\(stated.info.dtype) \(stated.info.shape) in \"\(stated.file)\"",
          found: "\(found.info.dtype) \(found.info.shape) in \"\(found.file)\"", "MAN-15")
      ]
    }
    guard stated.digest != found.digest else { return [] }
    return [
      finding(
        name, "tensor \(stated.info) has other bytes", expected: stated.digest,
        found: found.digest, "MAN-16")
    ]
  }
}

/// Two lists sorted by name bytewise, side by side: what only one has stands beside nil.
private struct Pairs<Element> {
  private(set) var all: [(Element?, Element?)] = []

  /// O(n).
  init(_ a: [Element], _ b: [Element], by name: (Element) -> String) {
    var (i, j) = (0, 0)
    while i < a.count || j < b.count {
      if j == b.count || i < a.count && Self.precedes(name(a[i]), name(b[j])) {
        all.append((a[i], nil))
        i += 1
      } else if i == a.count || Self.precedes(name(b[j]), name(a[i])) {
        all.append((nil, b[j]))
        j += 1
      } else {
        all.append((a[i], b[j]))
        (i, j) = (i + 1, j + 1)
      }
    }
  }

  private static func precedes(_ a: String, _ b: String) -> Bool {
    a.utf8.lexicographicallyPrecedes(b.utf8)
  }
}
