"""The RWKV-7 recurrence as a differentiable function: C, and a naive loop to test it.

    y = wkv(reset, r, w, k, v, kk, b)

All but `reset` are [B, T, H, N]; `w` is the decay itself, `b` is kk∘a. `reset` is uint8 [B, T/8]: where it is not zero
the state is cleared before that group of eight tokens. T is a multiple of 8.
"""
import ctypes
import functools

import torch

import native

CHUNK = 8
_KINDS = {torch.float32: "float", torch.float64: "double"}


@functools.lru_cache(None)
def _library(dtype):
    lib = native.cpu_library(_KINDS[dtype])
    assert lib.wkv_chunk() == CHUNK
    return lib


def _call(name, sizes, tensors):
    """Run one entry point of the library; every tensor is contiguous."""
    getattr(_library(tensors[1].dtype), name)(*sizes, *(ctypes.c_void_p(t.data_ptr()) for t in tensors))


class _Wkv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, reset, *inputs):
        inputs = [t.contiguous() for t in inputs]
        r = inputs[0]
        B, T, H, N = sizes = r.shape
        assert T % CHUNK == 0 and reset.shape == (B, T // CHUNK) and reset.dtype == torch.uint8
        y, q = torch.empty_like(r), torch.empty_like(r)
        ends = torch.empty(B, H, T // CHUNK, N, N, dtype=r.dtype, device=r.device)
        _call("wkv_forward", sizes, [reset, *inputs, y, q, ends])
        ctx.save_for_backward(reset, *inputs, q, ends)
        return y

    @staticmethod
    def backward(ctx, dy):
        saved = ctx.saved_tensors
        grads = [torch.empty_like(dy, memory_format=torch.contiguous_format) for _ in range(6)]
        _call("wkv_backward", saved[1].shape, [*saved, dy.contiguous(), *grads])
        return (None, *grads)


def wkv(reset, r, w, k, v, kk, b):
    """The recurrence with an exact gradient; see the docstring of this file."""
    return _Wkv.apply(reset, r, w, k, v, kk, b)


def wkv_naive(reset, r, w, k, v, kk, b):
    """The same token by token, straight from the definition, for tests only."""
    B, T, H, N = r.shape
    S = torch.zeros(B, H, N, N, dtype=r.dtype)
    out = []
    for t in range(T):
        if t % CHUNK == 0:
            S = S * (reset[:, t // CHUNK] == 0).to(r.dtype).view(B, 1, 1, 1)
        q = (S * kk[:, t, :, None, :]).sum(-1, keepdim=True)
        S = S * w[:, t, :, None, :] - q * b[:, t, :, None, :] + v[:, t, :, :, None] * k[:, t, :, None, :]
        out.append((S * r[:, t, :, None, :]).sum(-1))
    return torch.stack(out, 1)
