// What both VNNI files share: `dpbusd` adds four products of an unsigned and a signed byte to a
// 32-bit lane without saturation. The left bytes are moved up by 128 to be unsigned; each tile
// takes the 128-fold sum of its right bytes off again.

#define UNIT 4
#define PACK_LEFT pack_left
#define PACK_RIGHT pack_right
#define TILE tile

typedef uint8_t operand;

TARGET static void pack_panel(const int8_t *from, size_t rows, size_t stride, size_t depth,
                              size_t panel, uint8_t offset, operand *to) {
  for (size_t k = 0; k < depth; k += UNIT) {
    const size_t deep = smaller(UNIT, depth - k);
    for (size_t row = 0; row < panel; row++) {
      uint32_t four = 0;
      if (row < rows) memcpy(&four, from + row * stride + k, deep);
      // Depths filled up are zeros on the right, so what they are on the left does not matter.
      store_u32(to + (k * panel + row * UNIT), four ^ offset * 0x01010101u);
    }
  }
}

TARGET static void pack_left(const int8_t *from, size_t rows, size_t stride, size_t depth,
                             operand *to) {
  pack_panel(from, rows, stride, depth, TILE_ROWS, 0x80, to);
}

TARGET static void pack_right(const int8_t *from, size_t rows, size_t stride, size_t depth,
                              operand *to) {
  pack_panel(from, rows, stride, depth, TILE_COLUMNS, 0, to);
}
