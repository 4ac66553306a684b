/*
 * pth.h - a PyTorch checkpoint (.pth, .pt): a dictionary of tensors, as torch.save has written it since PyTorch 1.6.
 *
 * A ZIP archive of stored entries, all in one folder: data.pkl is the dictionary as a pickle, data/K holds the numbers of
 * the storage K, byteorder may say how they are written. In the pickle a tensor is a call,
 *
 *     torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)
 *
 * whose storage is the persistent id ('storage', torch.BFloat16Storage, 'K', device, numbers). No Python is needed to
 * recognise that, and nothing but that is recognised: the few functions that may occur are listed in pth.c.
 *
 * The tensors lie in the image. Several may share a storage. One whose numbers do not lie in row-major order, such as a
 * transposed view, is refused, and so is a dictionary that holds anything but tensors.
 */
#ifndef FORMATS_PTH_H
#define FORMATS_PTH_H

#include "formats/reader.h"

reader_fn pth_read;

#endif
