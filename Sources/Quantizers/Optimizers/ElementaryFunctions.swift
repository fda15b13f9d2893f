// The one file of this room that knows which C library there is.
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// base raised to `exponent`, in f64.
/// base raised to `exponent`, in f64.
func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }

func power(_ base: Double, _ exponent: Int) -> Double { pow(base, Double(exponent)) }

/// eˣ in f64.
public func exponential(_ value: Double) -> Double { exp(value) }

/// The natural logarithm in f64.
public func logarithm(_ value: Double) -> Double { log(value) }
