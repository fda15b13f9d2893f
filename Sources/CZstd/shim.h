// Sequences with explicit block delimiters are in the part of the interface that is exported but
// may still change; the calls used are checked by tests.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
