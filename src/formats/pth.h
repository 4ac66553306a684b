/*
 * pth.h - reads a PyTorch checkpoint (.pth, .pt): a dictionary of tensors, as written by torch.save
 * since PyTorch 1.6.
 *
 * The file is a ZIP archive of uncompressed entries in one folder: data.pkl is the dictionary as a
 * pickle, data/K holds the numbers of storage K, and byteorder may give their byte order. In the
 * pickle, a tensor is the call
 *
 *     torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)
 *
 * where storage is the persistent id ('storage', torch.BFloat16Storage, 'K', device, numbers). The
 * call is recognised, never executed. pth.c lists the few functions that are recognised.
 *
 * Row-major tensors are used in place, in the image; several may share a storage. Other tensors,
 * such as transposed views, are copied. Values that are not tensors are skipped with a note. The
 * weights may be in a dictionary inside the outermost one.
 */
#ifndef FORMATS_PTH_H
#define FORMATS_PTH_H

#include "formats/reader.h"

reader_fn pth_read;

#endif
