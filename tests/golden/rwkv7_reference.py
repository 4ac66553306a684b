#!/usr/bin/env python3
"""Float64 oracle for the RWKV-7 (x070) language model.

Written to be clear and numerically reliable, not fast: one token at a time, every
weight widened to float64 once, no fused operations.  Depends on numpy only;
torch is imported solely when a .pth checkpoint is read.

    rwkv7_reference.py MODEL --tokens 1,2,3 --out logits.npy
    rwkv7_reference.py MODEL --tokens @ids.txt --state-out state.safetensors
    rwkv7_reference.py MODEL --tokens 5,6 --greedy 20
    rwkv7_reference.py MODEL --info

MODEL is a .safetensors file (F64, F32, F16 or BF16 tensors) or a .pth file, with
either BlinkDL tensor names ("blocks.0.att.x_r") or flash-linear-attention names
("model.layers.0.attn.x_r").

Conventions: a matrix called "<name>.weight" is stored
[out, in] and applied as W @ x; the low-rank factors are stored [in, out] and
applied as x @ F.  The recurrent matrix of a head is S[i, j] with i running over
value channels and j over key channels.
"""
import argparse
import json
import re
import struct
import sys

import numpy as np

LN_EPS = 1e-5            # every LayerNorm
GN_EPS = 64e-5           # the per-head norm "ln_x": a constant, whatever the head size
NORM_EPS = 1e-12         # lower bound on the l2 length of kk
HALF_DECAY = float(np.exp(-0.5))


# ------------------------------------------------------------------ tensor files

_ST_WIDTH = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}


def bf16_to_f32(u16):
    return (u16.astype(np.uint32) << 16).view(np.float32)


def f32_to_bf16(x):
    """Round to nearest, ties to even; returns uint16 bit patterns (finite input)."""
    u = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def read_safetensors(path):
    """Return (tensors, dtypes): arrays in natural precision, and the stored dtype names."""
    with open(path, "rb") as f:
        blob = f.read()
    (hlen,) = struct.unpack_from("<Q", blob, 0)
    header = json.loads(blob[8:8 + hlen].decode("utf-8"))
    body = memoryview(blob)[8 + hlen:]
    tensors, dtypes = {}, {}
    for name, e in header.items():
        if name == "__metadata__":
            continue
        kind, shape = e["dtype"], tuple(e["shape"])
        lo, hi = e["data_offsets"]
        count = int(np.prod(shape, dtype=np.int64))
        if kind not in _ST_WIDTH:
            raise ValueError("%s: dtype %s is not supported" % (name, kind))
        if not (0 <= lo <= hi <= len(body)) or hi - lo != count * _ST_WIDTH[kind]:
            raise ValueError("%s: data range does not fit the shape" % name)
        raw = body[lo:hi]
        if kind == "BF16":
            arr = bf16_to_f32(np.frombuffer(raw, dtype="<u2"))
        else:
            arr = np.frombuffer(raw, dtype={"F64": "<f8", "F32": "<f4", "F16": "<f2",
                                            "I64": "<i8", "I32": "<i4", "U8": "u1"}[kind])
        tensors[name] = arr.reshape(shape)
        dtypes[name] = kind
    return tensors, dtypes


def write_safetensors(path, tensors, metadata=None, force=None):
    """tensors: name -> array.  force: name -> "BF16"/"F16"/"F32" (default: from the array)."""
    auto = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64",
            "int32": "I32", "uint8": "U8"}
    header, chunks, at = {}, [], 0
    if metadata:
        header["__metadata__"] = {k: str(v) for k, v in metadata.items()}
    for name, arr in tensors.items():
        arr = np.asarray(arr)
        kind = (force or {}).get(name) or auto[arr.dtype.name]
        if kind == "BF16":
            raw = f32_to_bf16(arr).astype("<u2").tobytes()
        else:
            raw = np.ascontiguousarray(arr, dtype={"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8",
                                                   "I32": "<i4", "U8": "u1"}[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": list(arr.shape), "data_offsets": [at, at + len(raw)]}
        chunks.append(raw)
        at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)))
        f.write(text)
        for c in chunks:
            f.write(c)


def read_pth(path):
    import torch
    d = torch.load(path, map_location="cpu")
    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}
    tensors = {k: (v if v.dtype == torch.float64 else v.float()).numpy() for k, v in d.items()}
    return tensors, {k: names[v.dtype] for k, v in d.items()}


# ------------------------------------------------------------------ naming

_FLA_TOP = {"model.embeddings.weight": "emb.weight", "model.norm.weight": "ln_out.weight",
            "model.norm.bias": "ln_out.bias", "lm_head.weight": "head.weight"}
_FLA_NORM = {"pre_norm": "ln0", "attn_norm": "ln1", "ffn_norm": "ln2"}
_FLA_PROJ = {"r_proj": "receptance", "k_proj": "key", "v_proj": "value", "o_proj": "output", "g_norm": "ln_x"}


def to_blinkdl(tensors):
    """Rename flash-linear-attention tensors to BlinkDL names (and BlinkDL orientation)."""
    if "emb.weight" in tensors:
        return dict(tensors)
    out = {}
    for name, t in tensors.items():
        if name in _FLA_TOP:
            out[_FLA_TOP[name]] = t
            continue
        m = re.fullmatch(r"model\.layers\.(\d+)\.(\w+)\.(.+)", name)
        if not m:
            raise ValueError("unknown tensor name: " + name)
        layer, part, rest = m.groups()
        base = "blocks.%s." % layer
        if part in _FLA_NORM:
            out[base + _FLA_NORM[part] + "." + rest] = t
        elif part == "ffn":
            out[base + "ffn." + rest] = t
        elif part == "attn":
            lora = re.fullmatch(r"([wavg])_lora\.lora\.([02])\.(weight|bias)", rest)
            if rest == "x_x":                       # older files: six mixing vectors stacked
                for row, letter in zip(t.reshape(6, -1), "rwkvag"):
                    out[base + "att.x_" + letter] = row
            elif lora:
                letter, pos, what = lora.groups()
                if what == "bias":
                    out[base + "att." + letter + "0"] = t
                else:                               # Linear layout [out, in] -> [in, out]
                    out[base + "att." + letter + {"0": "1", "2": "2"}[pos]] = t.T
            else:
                head, dot, tail = rest.partition(".")
                out[base + "att." + _FLA_PROJ.get(head, head) + dot + tail] = t
        else:
            raise ValueError("unknown tensor name: " + name)
    return out


# ------------------------------------------------------------------ the model

def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0 / (1.0 + e), e / (1.0 + e))


def layer_norm(x, weight, bias, eps=LN_EPS):
    d = x - x.mean()
    return d / np.sqrt((d * d).mean() + eps) * weight + bias


def head_norm(y, weight, bias, eps=GN_EPS):
    """y: [H, N]; each head is normalised by itself, then a per-channel affine map."""
    d = y - y.mean(axis=1, keepdims=True)
    n = d / np.sqrt((d * d).mean(axis=1, keepdims=True) + eps)
    return n.reshape(-1) * weight + bias


class State:
    """att_prev [L, C], wkv [L, H, N, N] (value index, key index), ffn_prev [L, C]; all start at zero."""

    def __init__(self, layers, channels, heads, size):
        self.att_prev = np.zeros((layers, channels))
        self.wkv = np.zeros((layers, heads, size, size))
        self.ffn_prev = np.zeros((layers, channels))

    def copy(self):
        other = object.__new__(State)
        other.att_prev, other.wkv, other.ffn_prev = self.att_prev.copy(), self.wkv.copy(), self.ffn_prev.copy()
        return other

    def tensors(self, dtype=np.float32):
        return {"att_x_prev": self.att_prev.astype(dtype), "wkv": self.wkv.astype(dtype),
                "ffn_x_prev": self.ffn_prev.astype(dtype)}


class Rwkv7:
    def __init__(self, tensors, dtypes=None):
        raw = to_blinkdl(tensors)
        self.dtypes = dtypes or {}
        self.w = {k: np.asarray(v, dtype=np.float64) for k, v in raw.items()}
        self.rate_scale = 1.0                        # 2 in models whose rate has the extended range
        w = self.w
        self.vocab, self.channels = w["emb.weight"].shape
        self.layers = 1 + max(int(k.split(".")[1]) for k in w if k.startswith("blocks."))
        self.heads, self.size = w["blocks.0.att.r_k"].shape
        if self.heads * self.size != self.channels:
            raise ValueError("r_k does not agree with the embedding width")
        self.ffn = w["blocks.0.ffn.key.weight"].shape[0]
        deep = ("ffn.s_emb.", "ffn.s0", ".qkv.")
        self.deep_embed = any(deep[0] in k or deep[1] in k for k in w)
        if any(deep[2] in k for k in w):
            raise ValueError("x070b (qkv branch) is not handled by this oracle")
        for k in list(w):                            # vectors may carry leading unit axes
            if k.startswith("blocks.") and (".att.x_" in k or ".ffn.x_k" in k or
                                            re.search(r"\.att\.([wav]0|k_k|k_a)$", k) or k.endswith(".ffn.s0")):
                w[k] = w[k].reshape(-1)

    @classmethod
    def load(cls, path):
        return cls(*(read_pth(path) if path.endswith(".pth") else read_safetensors(path)))

    def new_state(self):
        return State(self.layers, self.channels, self.heads, self.size)

    def describe(self):
        w = self.w
        rank = {c: w["blocks.%d.att.%s1" % (1 if c == "v" and self.layers > 1 else 0, c)].shape[1]
                for c in "wavg" if "blocks.%d.att.%s1" % (1 if c == "v" and self.layers > 1 else 0, c) in w}
        return {"layers": self.layers, "channels": self.channels, "heads": self.heads, "head_size": self.size,
                "vocab": self.vocab, "ffn": self.ffn, "ranks": rank,
                "deep_embed": self.deep_embed, "parameters": int(sum(v.size for v in w.values()))}

    def step(self, token, st, trace=None):
        """Consume one token id, update st in place, return float64 logits [vocab]."""
        w = self.w
        if not 0 <= token < self.vocab:
            raise ValueError("token id %d out of range" % token)
        x = w["emb.weight"][token]
        if "blocks.0.ln0.weight" in w:               # absent only in files without a pre-norm
            x = layer_norm(x, w["blocks.0.ln0.weight"], w["blocks.0.ln0.bias"])
        x0 = x
        v_first = None
        for i in range(self.layers):
            p = "blocks.%d." % i
            u = layer_norm(x, w[p + "ln1.weight"], w[p + "ln1.bias"])
            out, v_first = self._time_mix(i, u, st, v_first, trace)
            x = x + out
            u = layer_norm(x, w[p + "ln2.weight"], w[p + "ln2.bias"])
            x = x + self._channel_mix(i, u, st, token, x0)
        x = layer_norm(x, w["ln_out.weight"], w["ln_out.bias"])
        return w["head.weight"] @ x

    def _time_mix(self, i, u, st, v_first, trace):
        w, H, N = self.w, self.heads, self.size
        a_ = "blocks.%d.att." % i
        delta = st.att_prev[i] - u
        st.att_prev[i] = u
        xr, xw, xk, xv, xa, xg = (u + delta * w[a_ + "x_" + c] for c in "rwkvag")

        r = w[a_ + "receptance.weight"] @ xr
        k = w[a_ + "key.weight"] @ xk
        v = w[a_ + "value.weight"] @ xv
        z = w[a_ + "w0"] + np.tanh(xw @ w[a_ + "w1"]) @ w[a_ + "w2"]
        decay = np.exp(-HALF_DECAY * sigmoid(z))
        a = self.rate_scale * sigmoid(w[a_ + "a0"] + (xa @ w[a_ + "a1"]) @ w[a_ + "a2"])
        if a_ + "g1" in w:
            g = sigmoid(xg @ w[a_ + "g1"]) @ w[a_ + "g2"]
        else:
            g = 1.0
        if i == 0:
            v_first = v
        else:
            v = v + (v_first - v) * sigmoid(w[a_ + "v0"] + (xv @ w[a_ + "v1"]) @ w[a_ + "v2"])

        kk = (k * w[a_ + "k_k"]).reshape(H, N)       # from the key before the k_a correction
        kk = kk / np.maximum(np.sqrt((kk * kk).sum(axis=1, keepdims=True)), NORM_EPS)
        k = k * (1.0 + (a - 1.0) * w[a_ + "k_a"])

        r, k, v, a, decay = (t.reshape(H, N) for t in (r, k, v, a, decay))
        y = np.empty((H, N))
        for h in range(H):
            S = st.wkv[i, h]
            removed = S @ kk[h]                      # the value stored under the unit key
            S = S * decay[h][None, :] - np.outer(removed, kk[h] * a[h]) + np.outer(v[h], k[h])
            st.wkv[i, h] = S
            y[h] = S @ r[h]
        if trace is not None:
            trace.append({"layer": i, "r": r, "decay": decay, "k": k, "v": v, "kk": kk, "a": a, "g": g, "y": y.copy()})
        out = head_norm(y, w[a_ + "ln_x.weight"], w[a_ + "ln_x.bias"])
        bonus = (r * k * w[a_ + "r_k"]).sum(axis=1, keepdims=True) * v
        return w[a_ + "output.weight"] @ ((out + bonus.reshape(-1)) * g), v_first

    def _channel_mix(self, i, u, st, token, x0):
        w = self.w
        f_ = "blocks.%d.ffn." % i
        mixed = u + (st.ffn_prev[i] - u) * w[f_ + "x_k"]
        st.ffn_prev[i] = u
        h = np.maximum(w[f_ + "key.weight"] @ mixed, 0.0) ** 2
        if f_ + "s1" in w:                           # x070a: token-dependent gate on the hidden units
            row = w[f_ + "s_emb.weight"][token] + w[f_ + "s_emb_x.weight"] @ x0
            side = w[f_ + "s1"].shape[1]
            gate = ((u @ w[f_ + "s1"]) @ row.reshape(side, -1)) @ w[f_ + "s2"] + w[f_ + "s0"]
            h = h * gate
        return w[f_ + "value.weight"] @ h

    def run(self, tokens, state=None, trace=None):
        """Logits at every position [T, vocab] and the final state."""
        st = self.new_state() if state is None else state
        out = np.empty((len(tokens), self.vocab))
        for t, token in enumerate(tokens):
            out[t] = self.step(int(token), st, trace)
        return out, st


def parse_tokens(text):
    if text.startswith("@"):
        with open(text[1:], encoding="ascii") as f:
            text = f.read()
    return [int(t) for t in re.split(r"[\s,]+", text.strip()) if t]


def main(argv=None):
    ap = argparse.ArgumentParser(description="float64 oracle for RWKV-7")
    ap.add_argument("model")
    ap.add_argument("--tokens", help="comma separated ids, or @FILE")
    ap.add_argument("--out", help="write logits of every position: .npy, .safetensors or raw f32 .bin")
    ap.add_argument("--f32", action="store_true", help="store logits as float32 in the .npy (default float64)")
    ap.add_argument("--state-out", help="write the final state as .safetensors (F32)")
    ap.add_argument("--greedy", type=int, default=0, metavar="N", help="then print N greedy tokens")
    ap.add_argument("--info", action="store_true")
    args = ap.parse_args(argv)

    model = Rwkv7.load(args.model)
    if args.info:
        print(json.dumps(model.describe(), indent=1))
    if not args.tokens:
        return 0
    tokens = parse_tokens(args.tokens)
    logits, state = model.run(tokens)
    if args.out:
        if args.out.endswith(".npy"):
            np.save(args.out, logits.astype(np.float32) if args.f32 else logits)
        elif args.out.endswith(".safetensors"):
            write_safetensors(args.out, {"tokens": np.array(tokens, np.int32), "logits": logits.astype(np.float32)})
        else:
            logits.astype("<f4").tofile(args.out)
    if args.state_out:
        write_safetensors(args.state_out, state.tensors())
    last = logits[-1] if len(tokens) else None
    if last is not None:
        top = np.argsort(-last, kind="stable")[:5]
        print("last position:", " ".join("%d:%.6f" % (t, last[t]) for t in top), file=sys.stderr)
    if args.greedy and last is not None:
        made = []
        for _ in range(args.greedy):
            t = int(np.argmax(last))
            made.append(t)
            last = model.step(t, state)
        print(",".join(map(str, made)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
