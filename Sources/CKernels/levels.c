#pragma STDC FP_CONTRACT OFF

// Which levels there are: each is the one below it with its own loops put over them.

#include "kernels.h"

enum { level_limit = 2 };

static ck_kernels tables[level_limit];
static size_t table_count;

static void fill_plain(ck_kernels *table) {
  table->name = "plain";
  ck_fill_plain_codes(table);
  ck_fill_plain_bytes(table);
  ck_fill_plain_floats(table);
}

__attribute__((constructor)) static void fill_tables(void) {
  fill_plain(&tables[0]);
  table_count = 1;
}

size_t ck_level_count(void) { return table_count; }

const ck_kernels *ck_level(size_t index) { return index < table_count ? &tables[index] : NULL; }
