#pragma STDC FP_CONTRACT OFF

// Products of int8 matrices, one sum after the other.

#include "kernels.h"

static int32_t dot(const int8_t *a, const int8_t *b, size_t depth) {
  uint32_t sum = 0;
  for (size_t i = 0; i < depth; i++) sum += (uint32_t)(a[i] * b[i]);
  return (int32_t)sum;
}

static void int8_product(const void *a, size_t rows, const void *b, size_t columns, size_t depth,
                         int32_t *sums, size_t stride, void *scratch) {
  (void)scratch;
  const int8_t *left = a, *right = b;
  for (size_t row = 0; row < rows; row++) {
    for (size_t column = 0; column < columns; column++) {
      sums[row * stride + column] = dot(left + row * depth, right + column * depth, depth);
    }
  }
}

void ck_fill_plain_int8(ck_kernels *table) { table->int8_product = int8_product; }
