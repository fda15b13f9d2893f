/// The package's own name and version, as they are written into configs.
public enum Release {
  public static let version = "0.1.0"
}
