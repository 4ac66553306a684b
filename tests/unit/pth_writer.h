/*
 * pth_writer.h - writes .pth files in the form of torch.save, so that tests need no PyTorch: a ZIP
 * archive of stored entries aligned to 64 bytes, with ZIP64 fields for sizes of 4 GiB and more.
 * Checksums are zero, because rwkv7 does not verify them.
 */
#ifndef PTH_WRITER_H
#define PTH_WRITER_H

#include <stdbool.h>

#include "formats/tensors.h"

/*
 * `data` NULL: a hole in the file. tensors[].file is not used. Returns false if the file cannot be
 * written.
 */
bool pth_write(const char *path, const struct tensor *tensors, size_t count);

#endif
