import TensorCore

/// The package's own version, as it is written into configs, and those of what it stands on.
public enum Release {
  public static let version = "0.1.0"
  /// The version of the JSON library.
  public static var jsonLibrary: String { JSON.libraryVersion }
}
