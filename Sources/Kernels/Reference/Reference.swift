/// Every operation of this room as it reads in a specification: slow, plain and the measure of
/// the kernels. Arrays are row-major; codes are one byte each; words are little-endian.
public enum Reference {}
