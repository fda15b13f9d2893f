// The one file of this room that knows which C library there is.
#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// base raised to `exponent`, in f64.
func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }

/// The natural logarithm in f64.
func logarithm(_ value: Double) -> Double { log(value) }

func cosine(_ angle: Double) -> Double { cos(angle) }

func sine(_ angle: Double) -> Double { sin(angle) }

/// eˣ in f64.
func exponential(_ value: Double) -> Double { exp(value) }
