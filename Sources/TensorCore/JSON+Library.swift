internal import CJSONC

extension JSON {
  /// The version of json-c, such as `0.16`.
  public static var libraryVersion: String {
    // SAFETY: the version is a constant string of the library.
    unsafe String(cString: json_c_version())
  }
}
