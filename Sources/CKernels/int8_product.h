// The blocked product of int8 matrices, the same loops around each level's packing and tile.
//
// A file defines TILE_ROWS, TILE_COLUMNS, UNIT (depths that one 32-bit lane takes), `operand` (the
// packed element), PACK_LEFT and PACK_RIGHT (panels of TILE_ROWS and TILE_COLUMNS rows of depth,
// [depth/UNIT][rows][UNIT], short panels and depths filled up with zeros) and TILE (one panel by
// another, added to the sums of a tile), then includes this.

#include "kernels.h"

enum {
  depth_block = 512,
  row_block = 144,
  column_block = 192,
  // Of the left operand, behind it slack for stores of whole vectors, then the right operand.
  left_count = row_block * depth_block + 64,
};

_Static_assert(row_block % TILE_ROWS == 0 && column_block % TILE_COLUMNS == 0, "whole tiles");
_Static_assert(depth_block % (4 * UNIT) == 0, "whole vectors of depth");
_Static_assert((left_count + column_block * depth_block + 64) * sizeof(operand) <=
                   ck_int8_scratch,
               "the scratch holds both operands");

TARGET static void pack_panels(const int8_t *from, size_t rows, size_t stride, size_t depth,
                               size_t panel, operand *to,
                               void (*pack)(const int8_t *, size_t, size_t, size_t, operand *)) {
  const size_t padded = (depth + UNIT - 1) / UNIT * UNIT;
  for (size_t row = 0; row < rows; row += panel) {
    pack(from + row * stride, smaller(panel, rows - row), stride, depth, to);
    to += panel * padded;
  }
}

// One block of rows by one block of columns, added to the sums.
TARGET static void multiply_block(const operand *left, size_t rows, const operand *right,
                                  size_t columns, size_t depth, int32_t *sums, size_t stride) {
  const size_t padded = (depth + UNIT - 1) / UNIT * UNIT;
  for (size_t column = 0; column < columns; column += TILE_COLUMNS) {
    const operand *panel = right + column * padded;
    for (size_t row = 0; row < rows; row += TILE_ROWS) {
      int32_t *target = sums + row * stride + column;
      const size_t high = smaller(TILE_ROWS, rows - row);
      const size_t wide = smaller(TILE_COLUMNS, columns - column);
      if (high == TILE_ROWS && wide == TILE_COLUMNS) {
        TILE(left + row * padded, panel, padded, target, stride);
        continue;
      }
      int32_t corner[TILE_ROWS * TILE_COLUMNS] = {0};
      TILE(left + row * padded, panel, padded, corner, TILE_COLUMNS);
      for (size_t y = 0; y < high; y++) {
        for (size_t x = 0; x < wide; x++) {
          target[y * stride + x] =
              (int32_t)((uint32_t)target[y * stride + x] + (uint32_t)corner[y * TILE_COLUMNS + x]);
        }
      }
    }
  }
}

TARGET static void product(const int8_t *a, size_t rows, const int8_t *b, size_t columns,
                           size_t depth, int32_t *sums, size_t stride, operand *scratch) {
  for (size_t row = 0; row < rows; row++) memset(sums + row * stride, 0, columns * sizeof *sums);
  operand *left = scratch;
  operand *right = scratch + left_count;
  for (size_t column = 0; column < columns; column += column_block) {
    const size_t wide = smaller(column_block, columns - column);
    for (size_t start = 0; start < depth; start += depth_block) {
      const size_t deep = smaller(depth_block, depth - start);
      pack_panels(b + column * depth + start, wide, depth, deep, TILE_COLUMNS, right, PACK_RIGHT);
      for (size_t row = 0; row < rows; row += row_block) {
        const size_t high = smaller(row_block, rows - row);
        pack_panels(a + row * depth + start, high, depth, deep, TILE_ROWS, left, PACK_LEFT);
        multiply_block(left, high, right, wide, deep, sums + row * stride + column, stride);
      }
    }
  }
}
