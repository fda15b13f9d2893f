// Linux calls that the C library hides from Swift behind a feature macro. They answer -1 with ENOSYS
// elsewhere, and their callers have a portable way to go on.
#ifndef CLINUX_SHIM_H
#define CLINUX_SHIM_H
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __linux__
extern long copy_file_range(int in, int64_t *in_offset, int out, int64_t *out_offset, size_t length,
                            unsigned flags);
extern int sync_file_range(int file, int64_t offset, int64_t length, unsigned flags);
#endif

/// Copies inside the kernel, moving both offsets; the number of bytes, 0 at the end, or -1.
static inline long nibble_copy_range(int in, int64_t *in_offset, int out, int64_t *out_offset,
                                     size_t length) {
#ifdef __linux__
  return copy_file_range(in, in_offset, out, out_offset, length, 0);
#else
  errno = ENOSYS;
  return -1;
#endif
}

/// Asks the system to begin writing a range to the disk, and does not wait: 0, or -1.
static inline int nibble_begin_flush(int file, int64_t offset, int64_t length) {
#ifdef __linux__
  return sync_file_range(file, offset, length, 2);  // SYNC_FILE_RANGE_WRITE
#else
  errno = ENOSYS;
  return -1;
#endif
}

#endif
