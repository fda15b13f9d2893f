// Ranges, codes and error feedback of matrices that lie column by column, the outputs (rows) of a
// column across the lanes of a vector. Every row is independent, so all levels give the same bits.
//
// A file defines TARGET and LANES, then includes this.

#include "kernels.h"

typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t flags __attribute__((vector_size(4 * LANES)));

#define FAST TARGET static inline __attribute__((always_inline))

FAST lanes all(float value) {
  lanes result;
  for (int lane = 0; lane < LANES; lane++) result[lane] = value;
  return result;
}

FAST lanes load_lanes(const float *from) {
  lanes value;
  memcpy(&value, from, sizeof value);
  return value;
}

// Lanes beyond `wide` are `filler`.
FAST lanes load_some(const float *from, size_t wide, float filler) {
  if (wide == LANES) return load_lanes(from);
  lanes value = all(filler);
  for (size_t lane = 0; lane < wide; lane++) value[lane] = from[lane];
  return value;
}

FAST void store_some(float *to, lanes value, size_t wide) {
  memcpy(to, &value, wide == LANES ? sizeof value : wide * sizeof *to);
}

FAST lanes either(flags which, lanes yes, lanes no) {
  return (lanes)(((flags)yes & which) | ((flags)no & ~which));
}

// The second where one is NaN, as the plain `a < b ? a : b` has it.
FAST lanes lesser(lanes a, lanes b) { return either(a < b, a, b); }
FAST lanes greater(lanes a, lanes b) { return either(a > b, a, b); }

FAST lanes magnitude(lanes a) { return (lanes)((flags)a & 0x7FFFFFFF); }

// Nearest, ties to even, of magnitudes below 2^22; what is beyond stays beyond.
FAST lanes nearest(lanes a) { return (a + 0x1.8p23f) - 0x1.8p23f; }

// 0 ... top; 0 where it is NaN.
FAST lanes code_of(lanes value, lanes scale, lanes zero, lanes top) {
  return lesser(greater(nearest(value / scale) + zero, all(0)), top);
}

// Cephes' logf and exp2f without their ends: relative errors of some 2^-22.
FAST lanes binary_logarithm(lanes a) {
  flags bits = (flags)a;
  flags exponent = ((bits - 0x3F3504F3) >> 23);
  lanes z = (lanes)(bits - exponent * 0x800000) - 1.0f;
  lanes p = all(7.0376836292e-2f);
  p = p * z - 1.1514610310e-1f;
  p = p * z + 1.1676998740e-1f;
  p = p * z - 1.2420140846e-1f;
  p = p * z + 1.4249322787e-1f;
  p = p * z - 1.6668057665e-1f;
  p = p * z + 2.0000714765e-1f;
  p = p * z - 2.4999993993e-1f;
  p = p * z + 3.3333331174e-1f;
  const lanes square = z * z;
  const lanes natural = z + (z * square * p - 0.5f * square);
  return natural * 1.44269504f + __builtin_convertvector(exponent, lanes);
}

FAST lanes binary_power(lanes a) {
  a = lesser(greater(a, all(-126)), all(126));
  const lanes whole = nearest(a);
  const lanes f = a - whole;
  lanes p = all(1.535336188319500e-4f);
  p = p * f + 1.339887440266574e-3f;
  p = p * f + 9.618437357674640e-3f;
  p = p * f + 5.550332471162809e-2f;
  p = p * f + 2.402264791363012e-1f;
  p = p * f + 6.931472028550421e-1f;
  p = p * f + 1.0f;
  return (lanes)((flags)p + __builtin_convertvector(whole, flags) * 0x800000);
}

// |a| to the power of `more` + 2.
FAST lanes powered(lanes a, float more) {
  const lanes square = a * a;
  if (more == 0) return square;
  return square * binary_power(binary_logarithm(magnitude(a)) * more);
}

typedef struct range_lanes {
  lanes low, high;
} range_lanes;

FAST lanes scale_of(range_lanes range, lanes top) { return (range.high - range.low) / top; }

FAST lanes safe_scale(lanes scale) { return either(scale == 0.0f, all(0x1p-126f), scale); }

FAST lanes zero_of(range_lanes range, lanes scale, const ck_range_rule *rule) {
  return rule->is_symmetric ? all(rule->zero) : nearest(-range.low / scale);
}

// The other whole number beside the ideal zero point.
FAST lanes neighbour(range_lanes range, lanes scale, lanes zero, lanes top) {
  const lanes ideal = -range.low / scale;
  lanes floor = nearest(ideal);
  floor = either(floor > ideal, floor - 1.0f, floor);
  const lanes ceiling = either(floor < ideal, floor + 1.0f, floor);
  const lanes below = lesser(greater(floor, all(0)), top);
  return either(zero == below, lesser(greater(ceiling, all(0)), top), below);
}

FAST range_lanes extremes_of(const float *values, size_t columns, size_t stride, size_t wide,
                             const ck_range_rule *rule) {
  range_lanes range = {all(0), all(0)};
  for (size_t column = 0; column < columns; column++) {
    const lanes value = load_some(values + column * stride, wide, 0);
    range.low = lesser(value, range.low);
    range.high = greater(value, range.high);
  }
  if (rule->is_symmetric) {
    const lanes most = greater(-range.low, range.high);
    range.low = either((range.low < 0.0f) | -rule->mirrors, -most, range.low);
    range.high = most;
  }
  const flags empty = (range.low == 0.0f) & (range.high == 0.0f);
  range.low = either(empty, all(-1), range.low);
  range.high = either(empty, all(1), range.high);
  return range;
}

FAST range_lanes shrunk(range_lanes range, unsigned step, const ck_range_rule *rule) {
  const float part = (float)(1.0 - (double)step / (double)rule->grid);
  return (range_lanes){part * range.low, part * range.high};
}

// The summed errors of every step of the search over up to `column_part` columns at a time.
TARGET static void add_errors(const lanes *values, const float *importance, size_t columns,
                              range_lanes range, const ck_range_rule *rule, lanes *errors) {
  const lanes top = all(rule->top);
  const float more = rule->norm - 2;
  for (unsigned step = 0; step < rule->steps; step++) {
    const range_lanes tried = shrunk(range, step, rule);
    const lanes scale = scale_of(tried, top);
    lanes zero = zero_of(tried, scale, rule);
    const lanes divisor = safe_scale(scale);
    for (unsigned turn = 0; turn <= rule->tries_neighbours; turn++) {
      if (turn == 1) zero = neighbour(tried, scale, zero, top);
      lanes sum = all(0);
      for (size_t column = 0; column < columns; column++) {
        const lanes value = values[column];
        const lanes code = code_of(value, divisor, zero, top);
        const lanes error = powered(divisor * (code - zero) - value, more);
        sum += importance ? importance[column] * error : error;
      }
      errors[2 * step + turn] += sum;
    }
  }
}

enum { column_part = 128 };

FAST void search(const float *values, size_t columns, size_t stride, size_t wide,
                 const float *importance, range_lanes range, const ck_range_rule *rule,
                 lanes *scale, lanes *zero) {
  lanes errors[2 * ck_range_steps], part[column_part];
  const lanes top = all(rule->top);
  for (unsigned step = 0; step < 2 * rule->steps; step++) errors[step] = all(0);
  for (size_t start = 0; start < columns; start += column_part) {
    const size_t count = smaller(column_part, columns - start);
    for (size_t column = 0; column < count; column++) {
      part[column] = load_some(values + (start + column) * stride, wide, 0);
    }
    add_errors(part, importance ? importance + start : NULL, count, range, rule, errors);
  }
  lanes best = all(__builtin_inff());
  for (unsigned step = 0; step < rule->steps; step++) {
    const range_lanes tried = shrunk(range, step, rule);
    const lanes tried_scale = scale_of(tried, top);
    lanes tried_zero = zero_of(tried, tried_scale, rule);
    for (unsigned turn = 0; turn <= rule->tries_neighbours; turn++) {
      if (turn == 1) tried_zero = neighbour(tried, tried_scale, tried_zero, top);
      const lanes error = errors[2 * step + turn];
      const flags better = error < best;
      best = either(better, error, best);
      *scale = either(better, tried_scale, *scale);
      *zero = either(better, tried_zero, *zero);
    }
  }
}

TARGET static void column_ranges(const float *values, size_t columns, size_t rows, size_t stride,
                                 const float *importance, const ck_range_rule *rule, float *scales,
                                 float *zeros) {
  for (size_t row = 0; row < rows; row += LANES) {
    const size_t wide = smaller(LANES, rows - row);
    const range_lanes range = extremes_of(values + row, columns, stride, wide, rule);
    lanes scale = scale_of(range, all(rule->top));
    lanes zero = zero_of(range, scale, rule);
    if (rule->steps > 0) {
      search(values + row, columns, stride, wide, importance, range, rule, &scale, &zero);
    }
    // Beyond finite only where the scale underflowed.
    zero = either(scale == 0.0f, lesser(greater(zero, all(0)), all(rule->top)), zero);
    store_some(scales + row, safe_scale(scale), wide);
    store_some(zeros + row, zero, wide);
  }
}

FAST void store_codes(uint8_t *to, lanes codes, size_t wide) {
  typedef uint8_t bytes __attribute__((vector_size(LANES)));
  const flags whole = __builtin_convertvector(codes, flags);
  const bytes narrow = __builtin_convertvector(whole, bytes);
  memcpy(to, &narrow, wide);
}

TARGET static void column_codes(const float *values, size_t columns, size_t rows, size_t stride,
                                const float *scales, const float *zeros, float top,
                                uint8_t *codes, float *squares) {
  for (size_t row = 0; row < rows; row += LANES) {
    const size_t wide = smaller(LANES, rows - row);
    const lanes scale = load_some(scales + row, wide, 1), zero = load_some(zeros + row, wide, 0);
    lanes sum = all(0);
    for (size_t column = 0; column < columns; column++) {
      const lanes value = load_some(values + column * stride + row, wide, 0);
      const lanes code = code_of(value, scale, zero, all(top));
      const lanes delta = value - scale * (code - zero);
      sum += delta * delta;
      store_codes(codes + column * stride + row, code, wide);
    }
    store_some(squares + row, sum, wide);
  }
}

enum { feedback_run = 8 };

// Columns `first` ... first+count of a block: each is rounded, and its error moved on to the later
// ones of the run.
FAST void round_run(const ck_feedback *job, lanes *block, size_t first, size_t count, size_t row,
                    size_t wide, lanes *errors, lanes *seen, lanes *loss, lanes *squares) {
  for (size_t i = first; i < first + count; i++) {
    const size_t group = job->groups[i] * job->parameter_stride + row;
    const lanes scale = load_some(job->scales + group, wide, 1);
    const lanes zero = load_some(job->zeros + group, wide, 0);
    const float *factor = job->factor + i * job->factor_stride;
    const lanes value = block[i];
    const lanes code = code_of(value, scale, zero, all(job->top));
    const lanes rounded = scale * (code - zero);
    const lanes delta = value - rounded;
    const lanes error = delta / factor[i];
    *loss += delta * delta / (factor[i] * factor[i]);
    const lanes moved = load_some(job->original + i * job->stride + row, wide, 0) - rounded;
    *squares += moved * moved;
    errors[i - first] = error;
    store_codes(job->codes + i * job->stride + row, code, wide);
    store_some(job->errors + i * job->stride + row, error, wide);
    for (size_t j = i + 1; j < first + count; j++) block[j] -= error * factor[j];
    if (job->drift) {
      const float *drift = job->drift + i * job->factor_stride;
      seen[i - first] = value;
      store_some(job->seen + i * job->stride + row, value, wide);
      for (size_t j = i + 1; j < first + count; j++) block[j] += value * drift[j];
    }
  }
}

// The errors of a whole run on the rest of the block, one after the other.
FAST void move_on(const ck_feedback *job, lanes *block, size_t first, const lanes *errors) {
  const float *factor = job->factor + first * job->factor_stride;
  const size_t stride = job->factor_stride;
  lanes held[feedback_run];
  for (int i = 0; i < feedback_run; i++) held[i] = errors[i];
  for (size_t j = first + feedback_run; j < job->columns; j++) {
    lanes value = block[j];
#pragma clang loop unroll(full)
    for (int i = 0; i < feedback_run; i++) value -= held[i] * factor[(size_t)i * stride + j];
    block[j] = value;
  }
}

// The same with what the columns' own values add.
FAST void drift_on(const ck_feedback *job, lanes *block, size_t first, const lanes *errors,
                   const lanes *seen) {
  const float *factor = job->factor + first * job->factor_stride;
  const float *drift = job->drift + first * job->factor_stride;
  const size_t stride = job->factor_stride;
  for (size_t j = first + feedback_run; j < job->columns; j++) {
    lanes value = block[j];
    for (int i = 0; i < feedback_run; i++) {
      value -= errors[i] * factor[(size_t)i * stride + j];
      value += seen[i] * drift[(size_t)i * stride + j];
    }
    block[j] = value;
  }
}

TARGET static void column_feedback(const ck_feedback *job) {
  lanes block[ck_feedback_columns], errors[feedback_run], seen[feedback_run];
  for (size_t row = 0; row < job->rows; row += LANES) {
    const size_t wide = smaller(LANES, job->rows - row);
    for (size_t i = 0; i < job->columns; i++) {
      block[i] = load_some(job->values + i * job->stride + row, wide, 0);
    }
    lanes loss = all(0), squares = all(0);
    for (size_t first = 0; first < job->columns; first += feedback_run) {
      const size_t count = smaller(feedback_run, job->columns - first);
      round_run(job, block, first, count, row, wide, errors, seen, &loss, &squares);
      if (first + count == job->columns) break;
      if (job->drift) {
        drift_on(job, block, first, errors, seen);
      } else {
        move_on(job, block, first, errors);
      }
    }
    store_some(job->loss + row, loss, wide);
    store_some(job->squares + row, squares, wide);
  }
}

#define FILL_COLUMNS(table)                    \
  do {                                         \
    (table)->column_ranges = column_ranges;    \
    (table)->column_codes = column_codes;      \
    (table)->column_feedback = column_feedback; \
  } while (0)
