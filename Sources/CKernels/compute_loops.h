// Loops over f32 that models run, in vectors of sixteen whatever the level has: a file for each level
// defines TARGET and FILL and includes this one. No multiplication is fused with an addition, so all
// levels give the same bytes.

#include <math.h>

#include "kernels.h"

#define INLINE static inline __attribute__((always_inline)) TARGET

// All functions that take or return vectors are inlined.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float v16 __attribute__((ext_vector_type(16)));
typedef int32_t s16 __attribute__((ext_vector_type(16)));
typedef uint32_t u16 __attribute__((ext_vector_type(16)));
typedef uint16_t h16 __attribute__((ext_vector_type(16)));
typedef double d8 __attribute__((ext_vector_type(8)));
typedef float v8 __attribute__((ext_vector_type(8)));

enum { lanes = 16 };

INLINE v16 load(const void *from) {
  v16 value;
  memcpy(&value, from, sizeof value);
  return value;
}

INLINE void store(void *to, v16 value) { memcpy(to, &value, sizeof value); }

// The first numbers of a vector, zeros behind them.
INLINE v16 load_part(const void *from, size_t count) {
  v16 value = 0;
  memcpy(&value, from, count * 4);
  return value;
}

INLINE float sum_of(v16 v) {
  const v8 a = v.lo + v.hi;
  return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

INLINE double sum_of_doubles(d8 a) {
  return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

INLINE v16 floats(u16 bits) { return (v16)bits; }

// Half-precision numbers are moved to the place of f32's fields and multiplied by 2^112.
INLINE v16 halves_to_floats(h16 halves) {
  const u16 bits = __builtin_convertvector(halves, u16);
  const v16 value = floats((bits & 0x7FFF) << 13) * 0x1p112f;
  const u16 special = (u16)(value >= 65536) & 0x7F800000;
  return floats((u16)value | special | (bits & 0x8000) << 16);
}

INLINE v16 brains_to_floats(h16 halves) {
  return floats(__builtin_convertvector(halves, u16) << 16);
}

INLINE v16 load_weights(ck_float_kind kind, const uint8_t *row, size_t column, size_t count) {
  if (kind == ck_f32) {
    const uint8_t *from = row + 4 * column;
    return count == lanes ? load(from) : load_part(from, count);
  }
  h16 halves = 0;
  if (count == lanes)
    memcpy(&halves, row + 2 * column, sizeof halves);
  else
    memcpy(&halves, row + 2 * column, 2 * count);
  return kind == ck_bf16 ? brains_to_floats(halves) : halves_to_floats(halves);
}

// One row with a constant number of tokens.
INLINE void dot_row(ck_float_kind kind, const uint8_t *row, size_t columns, const float *input,
                    size_t input_stride, int tokens, float *output, size_t output_stride) {
  v16 even[4] = {0}, odd[4] = {0};
  size_t i = 0;
  for (; i + 2 * lanes <= columns; i += 2 * lanes) {
    const v16 a = load_weights(kind, row, i, lanes), b = load_weights(kind, row, i + lanes, lanes);
    for (int t = 0; t < tokens; t++) {
      even[t] += a * load(input + t * input_stride + i);
      odd[t] += b * load(input + t * input_stride + i + lanes);
    }
  }
  for (int is_odd = 0; i < columns; i += lanes, is_odd++) {
    const size_t count = smaller(lanes, columns - i);
    const v16 w = load_weights(kind, row, i, count);
    for (int t = 0; t < tokens; t++) {
      const v16 product = w * load_part(input + t * input_stride + i, count);
      if (is_odd)
        odd[t] += product;
      else
        even[t] += product;
    }
  }
  for (int t = 0; t < tokens; t++) output[t * output_stride] = sum_of(even[t] + odd[t]);
}

INLINE void dot_kind(ck_float_kind kind, const uint8_t *weights, size_t rows, size_t row_stride,
                     size_t columns, const float *input, size_t input_stride, size_t tokens,
                     float *output, size_t output_stride) {
  const size_t bytes = row_stride * (kind == ck_f32 ? 4 : 2);
  for (size_t row = 0; row < rows; row++, weights += bytes) {
    const float *in = input;
    float *out = output + row;
    size_t left = tokens;
    for (; left >= 4; left -= 4, in += 4 * input_stride, out += 4 * output_stride)
      dot_row(kind, weights, columns, in, input_stride, 4, out, output_stride);
    for (; left > 0; left--, in += input_stride, out += output_stride)
      dot_row(kind, weights, columns, in, input_stride, 1, out, output_stride);
  }
}

TARGET static void dot_rows(ck_float_kind kind, const void *weights, size_t rows,
                            size_t row_stride, size_t columns, const float *input,
                            size_t input_stride, size_t tokens, float *output,
                            size_t output_stride) {
  if (kind == ck_f32)
    dot_kind(ck_f32, weights, rows, row_stride, columns, input, input_stride, tokens, output,
             output_stride);
  else if (kind == ck_bf16)
    dot_kind(ck_bf16, weights, rows, row_stride, columns, input, input_stride, tokens, output,
             output_stride);
  else
    dot_kind(ck_f16, weights, rows, row_stride, columns, input, input_stride, tokens, output,
             output_stride);
}

TARGET static void weigh_rows(const float *factors, const float *rows, size_t count,
                              size_t row_stride, size_t width, float kept, float *sums) {
  size_t column = 0;
  for (; column + 4 * lanes <= width; column += 4 * lanes) {
    v16 sum[4];
    for (int k = 0; k < 4; k++) sum[k] = load(sums + column + k * lanes) * kept;
    for (size_t i = 0; i < count; i++) {
      const float *row = rows + i * row_stride + column;
      for (int k = 0; k < 4; k++) sum[k] += factors[i] * load(row + k * lanes);
    }
    for (int k = 0; k < 4; k++) store(sums + column + k * lanes, sum[k]);
  }
  for (; column < width; column++) {
    float sum = sums[column] * kept;
    for (size_t i = 0; i < count; i++) sum += factors[i] * rows[i * row_stride + column];
    sums[column] = sum;
  }
}

// The exponent n goes into two factors, so that results below and above the normal range are right too.
INLINE v16 power_of_e(v16 x) {
  x = x < -104 ? (v16)-104 : x;
  x = x > 89 ? (v16)89 : x;
  const v16 shifted = x * 1.44269504f + 12582912;
  const v16 n = shifted - 12582912;
  const s16 whole = (s16)shifted - 0x4B400000;
  const v16 r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  v16 p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * (r * r) + r) + 1;
  const s16 half = whole >> 1;
  return (p * (v16)((half + 127) << 23)) * (v16)((whole - half + 127) << 23);
}

INLINE v16 magnitude(v16 x) { return floats((u16)x & 0x7FFFFFFF); }

INLINE v16 hyperbolic_tangent(v16 x) {
  const v16 size = magnitude(x), z = x * x;
  v16 p = -5.70498872745e-3f * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const v16 small = p * z * x + x;
  const v16 large = 1 - 2 / (power_of_e(2 * size) + 1);
  const v16 signed_large = floats((u16)large | ((u16)x & 0x80000000));
  return size < 0.625f ? small : signed_large;
}

// 1 - erf(x) for x >= 0, off by at most 1.2e-7 of itself and rounding (Press et al., Numerical Recipes, 6.2).
INLINE v16 complementary_error(v16 x) {
  const v16 t = 2 / (2 + x);
  v16 p = 0.17087277f * t - 0.82215223f;
  p = p * t + 1.48851587f;
  p = p * t - 1.13520398f;
  p = p * t + 0.27886807f;
  p = p * t - 0.18628806f;
  p = p * t + 0.09678418f;
  p = p * t + 0.37409196f;
  p = p * t + 1.00002368f;
  return t * power_of_e(-x * x + (p * t - 1.26551223f));
}

INLINE v16 activation(ck_activation kind, v16 x) {
  switch (kind) {
    case ck_relu: return x < 0 ? (v16)0 : x;
    case ck_silu: return x / (1 + power_of_e(-x));
    case ck_gelu: {
      const v16 tail = complementary_error(magnitude(x) * 0.707106781f);
      return x * 0.5f * (x < 0 ? tail : 2 - tail);
    }
    case ck_gelu_tanh:
      return x * 0.5f *
             (1 + hyperbolic_tangent(0.797884561f * (x + 0.044715f * (x * x * x))));
    default: return x / (1 + power_of_e(-1.702f * x));
  }
}

INLINE void gate_kind(ck_activation kind, float *values, const float *up, size_t count) {
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const v16 value = activation(kind, load(values + i));
    store(values + i, up ? value * load(up + i) : value);
  }
  if (i == count) return;
  v16 value = activation(kind, load_part(values + i, count - i));
  if (up) value *= load_part(up + i, count - i);
  memcpy(values + i, &value, (count - i) * 4);
}

TARGET static void gate(ck_activation kind, float *values, const float *up, size_t count) {
  switch (kind) {
    case ck_relu: gate_kind(ck_relu, values, up, count); break;
    case ck_silu: gate_kind(ck_silu, values, up, count); break;
    case ck_gelu: gate_kind(ck_gelu, values, up, count); break;
    case ck_gelu_tanh: gate_kind(ck_gelu_tanh, values, up, count); break;
    case ck_quick_gelu: gate_kind(ck_quick_gelu, values, up, count); break;
  }
}

TARGET static void softcap(float *values, size_t count, float cap) {
  size_t i = 0;
  for (; i + lanes <= count; i += lanes)
    store(values + i, cap * hyperbolic_tangent(load(values + i) / cap));
  if (i == count) return;
  const v16 value = cap * hyperbolic_tangent(load_part(values + i, count - i) / cap);
  memcpy(values + i, &value, (count - i) * 4);
}

TARGET static float softmax_step(float *scores, size_t count, float *largest, float *sum) {
  v16 tops = *largest, total = 0;
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const v16 some = load(scores + i);
    tops = some > tops ? some : tops;
  }
  float top = tops[0];
  for (int lane = 1; lane < lanes; lane++) top = tops[lane] > top ? tops[lane] : top;
  for (; i < count; i++) top = scores[i] > top ? scores[i] : top;
  i = 0;
  for (; i + lanes <= count; i += lanes) {
    const v16 share = power_of_e(load(scores + i) - top);
    store(scores + i, share);
    total += share;
  }
  if (i < count) {
    v16 share = power_of_e(load_part(scores + i, count - i) - top);
    memcpy(scores + i, &share, (count - i) * 4);
    total += load_part(scores + i, count - i);
  }
  const float kept = power_of_e((v16)(*largest - top))[0];
  *largest = top;
  *sum = *sum * kept + sum_of(total);
  return kept;
}

TARGET static void normalize_row(int is_centred, const float *values, size_t width, float epsilon,
                                 const float *weight, const float *bias, float *output) {
  d8 low = 0, high = 0;
  double mean = 0;
  size_t i;
  if (is_centred) {
    for (i = 0; i < width; i += lanes) {
      const v16 v = load_part(values + i, smaller(lanes, width - i));
      low += __builtin_convertvector(v.lo, d8);
      high += __builtin_convertvector(v.hi, d8);
    }
    mean = sum_of_doubles(low + high) / (double)width;
    low = high = 0;
  }
  for (i = 0; i + lanes <= width; i += lanes) {
    const v16 v = load(values + i);
    const d8 a = __builtin_convertvector(v.lo, d8) - mean;
    const d8 b = __builtin_convertvector(v.hi, d8) - mean;
    low += a * a;
    high += b * b;
  }
  double squares = sum_of_doubles(low + high);
  for (; i < width; i++) {
    const double a = (double)values[i] - mean;
    squares += a * a;
  }
  const float middle = (float)mean;
  const float factor = (float)(1 / sqrt(squares / (double)width + (double)epsilon));
  for (i = 0; i < width; i++) {
    float value = (values[i] - middle) * factor;
    if (weight) value *= weight[i];
    if (bias) value += bias[i];
    output[i] = value;
  }
}

TARGET static void rotate_heads(float *values, size_t heads, size_t head_size,
                                const float *cosines, const float *sines, size_t pairs) {
  for (size_t head = 0; head < heads; head++, values += head_size) {
    for (size_t i = 0; i < pairs; i++) {
      const float x = values[i], y = values[i + pairs];
      values[i] = x * cosines[i] - y * sines[i];
      values[i + pairs] = y * cosines[i] + x * sines[i];
    }
  }
}

TARGET static void add_scaled(const float *source, float factor, float *target, size_t count) {
  for (size_t i = 0; i < count; i++) target[i] += source[i] * factor;
}

void FILL(ck_kernels *table) {
  table->dot_rows = dot_rows;
  table->weigh_rows = weigh_rows;
  table->gate = gate;
  table->softcap = softcap;
  table->softmax_step = softmax_step;
  table->normalize_row = normalize_row;
  table->rotate_heads = rotate_heads;
  table->add_scaled = add_scaled;
}
