/*
 * pth_writer.h - .pth files in the form that torch.save gives them, so that the tests need no PyTorch: a ZIP archive of stored
 * entries at multiples of 64 bytes, sizes of 4 GiB and more in ZIP64 fields. Checksums are left at zero: rwkv7 does not look at them.
 */
#ifndef PTH_WRITER_H
#define PTH_WRITER_H

#include <stdbool.h>

#include "formats/tensors.h"

/* `data` NULL: a hole in the file. Of struct tensor, `file` is not used. False when the file cannot be written. */
bool pth_write(const char *path, const struct tensor *tensors, size_t count);

#endif
