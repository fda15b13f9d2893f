// AWQ's rounding of runs of values, by vectors of the compiler: TARGET says for which instructions.

#include <math.h>

#include "kernels.h"

#define INLINE TARGET static inline __attribute__((always_inline))

INLINE float bounded(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

// One group. Returns its scale and zero point.
INLINE void round_group(const float *values, size_t count, const ck_awq_rule *rule, float *rounded,
                        uint8_t *codes, float *scale_out, float *zero_out) {
  float low[16], high[16];
  for (size_t lane = 0; lane < 16; lane++) low[lane] = high[lane] = values[0];
  size_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (size_t lane = 0; lane < 16; lane++) {
      const float x = values[i + lane];
      low[lane] = x < low[lane] ? x : low[lane];
      high[lane] = x > high[lane] ? x : high[lane];
    }
  for (; i < count; i++) {
    low[0] = values[i] < low[0] ? values[i] : low[0];
    high[0] = values[i] > high[0] ? values[i] : high[0];
  }
  for (size_t lane = 1; lane < 16; lane++) {
    low[0] = low[lane] < low[0] ? low[lane] : low[0];
    high[0] = high[lane] > high[0] ? high[lane] : high[0];
  }
  float length = high[0] - low[0], parts = rule->top;
  if (rule->is_symmetric) {
    length = high[0] > -low[0] ? high[0] : -low[0];
    parts = rule->half - 1;
  }
  float scale = (length < 1e-5f ? 1e-5f : length) / parts;
  if (rule->rounds_to_f16) {
    uint16_t half;
    plain_f32_to_f16(&scale, &half, 1);
    plain_f16_to_f32(&half, &scale, 1);
  }
  const float zero =
      rule->is_symmetric ? rule->half : bounded(-rintf(low[0] / scale), 0, rule->top);
  // A loop for each result: one for both stores by masks, which some processors do an element at a time.
  const float top = rule->top;
  if (rounded)
    for (i = 0; i < count; i++)
      rounded[i] = (bounded(rintf(values[i] / scale) + zero, 0, top) - zero) * scale;
  if (codes)
    for (i = 0; i < count; i++)
      codes[i] = (uint8_t)bounded(rintf(values[i] / scale) + zero, 0, top);
  *scale_out = scale;
  *zero_out = zero;
}

TARGET static void awq_groups(const float *values, size_t count, size_t group,
                              const ck_awq_rule *rule, float *rounded, uint8_t *codes,
                              float *scales, float *zeros) {
  for (size_t i = 0; i < count; i += group) {
    const size_t size = smaller(group, count - i);
    round_group(values + i, size, rule, rounded ? rounded + i : 0, codes ? codes + i : 0,
                scales + i / group, zeros + i / group);
  }
}
