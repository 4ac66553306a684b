#!/usr/bin/env python3
"""Float64 oracle for RWKV-4, RWKV-5 (5.0, 5.1, 5.2) and RWKV-6.

Works like rwkv7_reference.py: one token at a time, every weight widened to float64
once, no fused operations, numpy only (torch is imported only to read .pth).

    rwkv456_reference.py MODEL --info
    rwkv456_reference.py MODEL --tokens 1,2,3 --out logits.npy --state-out state.safetensors
    rwkv456_reference.py MODEL --tokens @ids.txt --greedy 20

MODEL is .safetensors or .pth, with BlinkDL names ("blocks.0.att.time_decay"), the
names of the older Hugging Face exports ("rwkv.blocks.0.attention.time_decay"), those of
web-rwkv / ai00 ".st" files (time_first for time_faaaa, time_mix for time_maa, factors
transposed) or, for RWKV-6, those of flash-linear-attention ("model.layers.0.attn.x_bias").

Conventions (as in the specifications of these versions): "<name>.weight" is [out, in] and
applied as W @ x; the low-rank factors of RWKV-6 are [in, out] and applied as x @ F.
The matrix state of a head is S[i, j], i = value channel, j = key channel, exactly as in
the RWKV-7 oracle (the authors' Python code stores its transpose).
"""
import argparse
import json
import os
import re
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from rwkv7_reference import (parse_tokens, read_pth, read_safetensors,  # noqa: E402
                             sigmoid, write_safetensors)

LN_EPS = 1e-5            # every LayerNorm
GN_EPS = 64e-5           # the per-head norm ln_x of RWKV-5 and 6: 1e-5 * 8^2, whatever the head size
PP_START = -1e38         # RWKV-4: "minus infinity" of the running exponent


# ------------------------------------------------------------------ naming

_HF_MIX = {"key": "k", "value": "v", "receptance": "r", "gate": "g"}
_FLA_NORM = {"pre_norm": "ln0", "attn_norm": "ln1", "ffn_norm": "ln2"}
_FLA_PROJ = {"r_proj": "receptance", "k_proj": "key", "v_proj": "value", "g_proj": "gate", "o_proj": "output"}
_FLA_TOP = {"model.embeddings.weight": "emb.weight", "model.norm.weight": "ln_out.weight",
            "model.norm.bias": "ln_out.bias", "lm_head.weight": "head.weight"}
FLA_ROWS = "rwkvg"       # order of the five branches in flash-linear-attention
BDL_ROWS = "wkvrg"       # order of the five branches in BlinkDL files


def from_hf(name):
    """rwkv.blocks.3.attention.time_mix_key -> blocks.3.att.time_mix_k"""
    name = re.sub(r"^rwkv\.", "", name)
    name = re.sub(r"^embeddings\.", "emb.", name)
    name = name.replace(".pre_ln.", ".ln0.").replace(".attention.", ".att.").replace(".feed_forward.", ".ffn.")
    return re.sub(r"\.time_mix_(key|value|receptance|gate)$", lambda m: ".time_mix_" + _HF_MIX[m.group(1)], name)


def from_fla(tensors):
    """flash-linear-attention's RWKV-6 spelling (transposed and reordered factors)."""
    out = {}
    for name, t in tensors.items():
        if name in _FLA_TOP:
            out[_FLA_TOP[name]] = t
            continue
        m = re.fullmatch(r"model\.layers\.(\d+)\.(\w+)\.(.+)", name)
        if not m:
            raise ValueError("unknown tensor name: " + name)
        layer, part, rest = m.groups()
        b = "blocks.%s." % layer
        if part in _FLA_NORM:
            out[b + _FLA_NORM[part] + "." + rest] = t
        elif part == "ffn":
            maa = {"key.mu": "time_maa_k", "receptance.mu": "time_maa_r"}
            out[b + "ffn." + (maa.get(rest) or rest.replace(".linear.", "."))] = t
        elif rest == "x_proj.0.mu":
            out[b + "att.time_maa_x"] = t
        elif rest == "x_proj.0.linear.weight":          # [5R, C], blocks of rows in FLA_ROWS order
            five = t.reshape(5, -1, t.shape[1])
            out[b + "att.time_maa_w1"] = np.concatenate([five[FLA_ROWS.index(c)] for c in BDL_ROWS]).T
        elif rest == "x_proj.2.weight":                 # [C, 5R]
            five = t.reshape(t.shape[0], 5, -1)
            out[b + "att.time_maa_w2"] = np.stack([five[:, FLA_ROWS.index(c)].T for c in BDL_ROWS])
        elif rest == "x_bias":                          # [5, C]
            for row, c in zip(t, FLA_ROWS):
                out[b + "att.time_maa_" + c] = row
        elif rest.startswith("w_proj.linear.lora."):
            tail = {"0.weight": ("time_decay_w1", True), "2.weight": ("time_decay_w2", True),
                    "2.bias": ("time_decay", False)}[rest[len("w_proj.linear.lora."):]]
            out[b + "att." + tail[0]] = t.T if tail[1] else t
        elif rest == "bonus":
            out[b + "att.time_faaaa"] = t
        elif rest.startswith("g_norm."):
            out[b + "att.ln_x." + rest[7:]] = t
        else:
            head = rest.split(".")[0]
            out[b + "att." + _FLA_PROJ[head] + ".weight"] = t
    return out


def from_st(tensors):
    """web-rwkv's converter: two words renamed, and the factors of RWKV-6 transposed in their last two axes."""
    out = {}
    channels = tensors["emb.weight"].shape[1]
    six = "blocks.0.att.time_mix_x" in tensors
    for name, t in tensors.items():
        if six:
            name = name.replace(".time_mix_", ".time_maa_")
        if name.endswith(".att.time_first") and t.size == channels:
            name = name[:-len("first")] + "faaaa"      # never exponentiated, although it is called time_first
        if six and name.endswith(("time_maa_w1", "time_maa_w2", "time_decay_w1", "time_decay_w2")):
            t = np.swapaxes(t, -1, -2)
        if name.endswith(".att.time_state"):
            t = np.swapaxes(t, -1, -2)
        out[name] = t
    return out


def to_blinkdl(tensors):
    if "emb.weight" in tensors:
        first = tensors.get("blocks.0.att.time_first")
        renamed = "blocks.0.att.ln_x.weight" in tensors and first is not None and first.size == tensors["emb.weight"].shape[1]
        return from_st(tensors) if renamed else dict(tensors)
    if "model.embeddings.weight" in tensors:
        return from_fla(tensors)
    return {from_hf(k): v for k, v in tensors.items()}


def recognise(w):
    """Version of a checkpoint with BlinkDL names, from names and shapes alone."""
    att = "blocks.0.att."
    has = lambda tail: att + tail in w                                   # noqa: E731
    if has("k_k") or has("r_k"):
        return "7"
    if has("time_maa_x"):
        if has("gate_w1"):
            return "6a"                                  # experiments, not handled
        if has("time_maa_rkvw_w1"):
            return "6b/6c"
        return "6"
    if has("ln_x.weight"):
        if not has("gate.weight"):
            return "5.0"
        decay = w[att + "time_decay"].squeeze()          # 5.1: [H]; 5.2: [H, N]
        per_channel = decay.ndim == 2
        return "5.2" if per_channel else "5.1"
    if has("time_mix_k") and has("time_first"):
        return "4a" if any(".tiny_" in k for k in w) else "4"
    return "unknown"


# ------------------------------------------------------------------ the model

def layer_norm(x, weight, bias, eps=LN_EPS):
    d = x - x.mean()
    return d / np.sqrt((d * d).mean() + eps) * weight + bias


def head_norm(y, weight, bias, eps):
    d = y - y.mean(axis=1, keepdims=True)
    n = d / np.sqrt((d * d).mean(axis=1, keepdims=True) + eps)
    return n.reshape(-1) * weight + bias


def silu(x):
    return x * sigmoid(x)


class State:
    """att_prev, ffn_prev [L, C]; RWKV-4: aa, bb, pp [L, A]; RWKV-5/6: wkv [L, H, N, N] (value, key)."""

    def __init__(self, layers, channels, att, heads, size):
        self.att_prev = np.zeros((layers, channels))
        self.ffn_prev = np.zeros((layers, channels))
        self.aa = self.bb = self.pp = self.wkv = None
        if heads:
            self.wkv = np.zeros((layers, heads, size, size))
        else:
            self.aa = np.zeros((layers, att))
            self.bb = np.zeros((layers, att))
            self.pp = np.full((layers, att), PP_START)

    def copy(self):
        other = object.__new__(State)
        for k, v in vars(self).items():
            setattr(other, k, None if v is None else v.copy())
        return other

    def tensors(self, dtype=np.float32):
        out = {"att_x_prev": self.att_prev, "ffn_x_prev": self.ffn_prev}
        out.update({"wkv": self.wkv} if self.wkv is not None else {"aa": self.aa, "bb": self.bb, "pp": self.pp})
        return {k: v.astype(dtype) for k, v in out.items()}


class Rwkv456:
    def __init__(self, tensors, dtypes=None, gn_eps=GN_EPS):
        raw = to_blinkdl(tensors)
        self.dtypes, self.gn_eps = dtypes or {}, gn_eps
        self.version = recognise(raw)
        if self.version not in ("4", "5.0", "5.1", "5.2", "6"):
            raise ValueError("version %s is not handled by this oracle" % self.version)
        self.w = w = {k: np.asarray(v, dtype=np.float64) for k, v in raw.items()}
        self.vocab, self.channels = w["emb.weight"].shape
        self.layers = 1 + max(int(k.split(".")[1]) for k in w if k.startswith("blocks."))
        self.att, self.ffn = w["blocks.0.att.key.weight"].shape[0], w["blocks.0.ffn.key.weight"].shape[0]
        a0 = "blocks.0.att."
        if self.version == "4":
            self.heads = self.size = 0
        elif self.version in ("5.0", "5.1"):
            self.heads = w[a0 + "time_decay"].size                  # one decay per head
        elif self.version == "5.2":
            self.heads = w[a0 + "time_decay"].squeeze().shape[0]    # [H, N]
        else:
            self.heads = w[a0 + "time_faaaa"].squeeze().shape[0]    # [H, N]
        if self.heads:
            self.size = self.att // self.heads
            if self.heads * self.size != self.att:
                raise ValueError("heads do not divide the attention width")
        for k in list(w):                                # unit axes of the vectors
            if re.search(r"\.time_(mix|maa)_[a-z]$", k):
                w[k] = w[k].reshape(-1)
            elif self.version == "4" and re.search(r"\.time_(decay|first)$", k):
                w[k] = w[k].reshape(-1)
            elif re.search(r"\.time_(decay|first|faaaa)$", k):
                v = w[k].reshape(self.heads, -1)         # [H, 1] or [H, N]
                w[k] = np.broadcast_to(v, (self.heads, self.size)).copy()
            elif k.endswith("att.time_state"):
                w[k] = w[k].reshape(self.heads, self.size, self.size)

    @classmethod
    def load(cls, path, **kw):
        return cls(*(read_pth(path) if path.endswith(".pth") else read_safetensors(path)), **kw)

    def new_state(self):
        st = State(self.layers, self.channels, self.att, self.heads, self.size)
        for i in range(self.layers):                     # a tuned first state, stored [H, value, key]
            t = self.w.get("blocks.%d.att.time_state" % i)
            if t is not None and self.heads:
                st.wkv[i] = t
        return st

    def describe(self):
        d = {"version": self.version, "layers": self.layers, "channels": self.channels, "att": self.att,
             "ffn": self.ffn, "vocab": self.vocab, "heads": self.heads, "head_size": self.size,
             "parameters": int(sum(v.size for v in to_blinkdl(self.w).values()))}
        if self.version == "6":
            d["rank_mix"] = self.w["blocks.0.att.time_maa_w2"].shape[1]
            d["rank_decay"] = self.w["blocks.0.att.time_decay_w1"].shape[1]
        return d

    def step(self, token, st):
        w = self.w
        if not 0 <= token < self.vocab:
            raise ValueError("token id %d out of range" % token)
        x = w["emb.weight"][token]
        if "blocks.0.ln0.weight" in w:
            x = layer_norm(x, w["blocks.0.ln0.weight"], w["blocks.0.ln0.bias"])
        time_mix = {"4": self._time_mix_4, "6": self._time_mix_6}.get(self.version, self._time_mix_5)
        for i in range(self.layers):
            p = "blocks.%d." % i
            x = x + time_mix(i, layer_norm(x, w[p + "ln1.weight"], w[p + "ln1.bias"]), st)
            x = x + self._channel_mix(i, layer_norm(x, w[p + "ln2.weight"], w[p + "ln2.bias"]), st)
        return w["head.weight"] @ layer_norm(x, w["ln_out.weight"], w["ln_out.bias"])

    # -- RWKV-4: a running weighted mean per channel, kept as numerator / denominator / exponent

    def _time_mix_4(self, i, u, st):
        w, a_ = self.w, "blocks.%d.att." % i
        prev, st.att_prev[i] = st.att_prev[i].copy(), u
        mix = lambda c: u * w[a_ + "time_mix_" + c] + prev * (1.0 - w[a_ + "time_mix_" + c])   # noqa: E731
        r = sigmoid(w[a_ + "receptance.weight"] @ mix("r"))
        k = w[a_ + "key.weight"] @ mix("k")
        v = w[a_ + "value.weight"] @ mix("v")
        aa, bb, pp = st.aa[i], st.bb[i], st.pp[i]

        first = w[a_ + "time_first"] + k
        q = np.maximum(pp, first)
        e1, e2 = np.exp(pp - q), np.exp(first - q)
        y = (e1 * aa + e2 * v) / (e1 * bb + e2)

        faded = pp - np.exp(w[a_ + "time_decay"])
        q = np.maximum(faded, k)
        e1, e2 = np.exp(faded - q), np.exp(k - q)
        st.aa[i], st.bb[i], st.pp[i] = e1 * aa + e2 * v, e1 * bb + e2, q
        return w[a_ + "output.weight"] @ (r * y)

    # -- RWKV-5: a decaying sum of outer products per head

    def _time_mix_5(self, i, u, st):
        w, a_ = self.w, "blocks.%d.att." % i
        prev, st.att_prev[i] = st.att_prev[i].copy(), u
        mix = lambda c: u * w[a_ + "time_mix_" + c] + prev * (1.0 - w[a_ + "time_mix_" + c])   # noqa: E731
        r = w[a_ + "receptance.weight"] @ mix("r")       # no sigmoid
        k = w[a_ + "key.weight"] @ mix("k")
        v = w[a_ + "value.weight"] @ mix("v")
        g = silu(w[a_ + "gate.weight"] @ mix("g")) if self.version != "5.0" else 1.0
        decay = np.exp(-np.exp(w[a_ + "time_decay"]))
        bonus = w[a_ + "time_faaaa"] if a_ + "time_faaaa" in w else np.exp(w[a_ + "time_first"])
        return self._matrix_state(i, r, k, v, decay, bonus, g, st)

    # -- RWKV-6: the same state, with the shift weights and the decay computed from the input

    def _time_mix_6(self, i, u, st):
        w, a_ = self.w, "blocks.%d.att." % i
        d, st.att_prev[i] = st.att_prev[i] - u, u
        z = np.tanh((u + d * w[a_ + "time_maa_x"]) @ w[a_ + "time_maa_w1"]).reshape(5, -1)
        m = {c: w[a_ + "time_maa_" + c] + z[n] @ w[a_ + "time_maa_w2"][n] for n, c in enumerate(BDL_ROWS)}
        xw, xk, xv, xr, xg = (u + d * m[c] for c in BDL_ROWS)
        r = w[a_ + "receptance.weight"] @ xr
        k = w[a_ + "key.weight"] @ xk
        v = w[a_ + "value.weight"] @ xv
        g = silu(w[a_ + "gate.weight"] @ xg)
        t = w[a_ + "time_decay"].reshape(-1) + np.tanh(xw @ w[a_ + "time_decay_w1"]) @ w[a_ + "time_decay_w2"]
        decay = np.exp(-np.exp(t)).reshape(self.heads, self.size)
        return self._matrix_state(i, r, k, v, decay, w[a_ + "time_faaaa"], g, st)

    def _matrix_state(self, i, r, k, v, decay, bonus, g, st):
        w, a_, H, N = self.w, "blocks.%d.att." % i, self.heads, self.size
        r, k, v = (t.reshape(H, N) for t in (r, k, v))
        y = np.empty((H, N))
        for h in range(H):
            S = st.wkv[i, h]
            y[h] = S @ r[h] + v[h] * (r[h] * bonus[h] * k[h]).sum()      # the OLD state, plus the bonus
            st.wkv[i, h] = S * decay[h][None, :] + np.outer(v[h], k[h])
        o = head_norm(y, w[a_ + "ln_x.weight"], w[a_ + "ln_x.bias"], self.gn_eps)
        return w[a_ + "output.weight"] @ (o * g)

    def _channel_mix(self, i, u, st):
        w, f_ = self.w, "blocks.%d.ffn." % i
        prev, st.ffn_prev[i] = st.ffn_prev[i].copy(), u
        if self.version == "6":
            mix = lambda c: u + (prev - u) * w[f_ + "time_maa_" + c]                              # noqa: E731
        else:
            mix = lambda c: u * w[f_ + "time_mix_" + c] + prev * (1.0 - w[f_ + "time_mix_" + c])  # noqa: E731
        h = np.maximum(w[f_ + "key.weight"] @ mix("k"), 0.0) ** 2
        return sigmoid(w[f_ + "receptance.weight"] @ mix("r")) * (w[f_ + "value.weight"] @ h)

    def run(self, tokens, state=None):
        st = self.new_state() if state is None else state
        out = np.empty((len(tokens), self.vocab))
        for t, token in enumerate(tokens):
            out[t] = self.step(int(token), st)
        return out, st


def main(argv=None):
    ap = argparse.ArgumentParser(description="float64 oracle for RWKV-4, 5 and 6")
    ap.add_argument("model")
    ap.add_argument("--tokens", help="comma separated ids, or @FILE")
    ap.add_argument("--out", help="logits of every position, .npy or .safetensors")
    ap.add_argument("--state-out", help="final state, .safetensors (F32)")
    ap.add_argument("--greedy", type=int, default=0, metavar="N")
    ap.add_argument("--info", action="store_true")
    args = ap.parse_args(argv)
    model = Rwkv456.load(args.model)
    if args.info:
        print(json.dumps(model.describe(), indent=1))
    if not args.tokens:
        return 0
    logits, state = model.run(parse_tokens(args.tokens))
    if args.out and args.out.endswith(".npy"):
        np.save(args.out, logits)
    elif args.out:
        write_safetensors(args.out, {"logits": logits.astype(np.float32)})
    if args.state_out:
        write_safetensors(args.state_out, state.tensors())
    if args.greedy:
        last, ids = logits[-1], []
        for _ in range(args.greedy):
            ids.append(int(np.argmax(last)))
            last = model.step(ids[-1], state)
        print(" ".join(map(str, ids)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
