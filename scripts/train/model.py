"""RWKV-7 (x070) in PyTorch, parameters under BlinkDL's names, with the published initialisation."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from wkv import CHUNK, wkv

HALF_DECAY = math.exp(-0.5)
HEAD_NORM_EPS = 64e-5


def shifted(u, keep):
    """u of the previous token, zero where a document starts. u: [B, T, C]; keep: [B, T, 1], 0 at a start."""
    return F.pad(u, (0, 0, 1, -1)) * keep


def _orthogonal(rows, columns, gain):
    weight = torch.empty(rows, columns)
    nn.init.orthogonal_(weight, gain=gain * math.sqrt(max(1.0, rows / columns)))
    return nn.Parameter(weight)


def _uniform(out, inputs, scale):
    return nn.Parameter(torch.empty(out, inputs).uniform_(-scale, scale))


class Linear(nn.Module):
    """y = W x, no bias; weight is [out, in]."""

    def __init__(self, out, inputs, scale):
        super().__init__()
        self.weight = _uniform(out, inputs, scale)

    def forward(self, x):
        return F.linear(x, self.weight)


class TimeMix(nn.Module):
    """Section 6 of the forward pass: token shift, projections, recurrence, head norm, bonus, gate."""

    def __init__(self, size, layer):
        super().__init__()
        C, N, L = size["channels"], size["head_size"], size["layers"]
        self.heads, self.head_size, self.first = C // N, N, layer == 0
        up, down = layer / max(1, L - 1), 1 - layer / L
        n = torch.arange(C, dtype=torch.float32)
        ramp, linear = n / C, n / (C - 1) - 0.5
        zigzag = ((n % N) - (N - 1) / 2) / ((N - 1) / 2)
        zigzag = zigzag * zigzag.abs()

        def vector(value):
            return nn.Parameter((value + torch.zeros(C)).view(1, 1, C))

        for name, power in (("r", 0.2), ("w", 0.9), ("k", 0.7), ("v", 0.7), ("a", 0.9), ("g", 0.2)):
            setattr(self, "x_" + name, vector(1 - ramp ** (power * down)))
        self.w0 = vector(-5.5 + 6 * (n / (C - 1)) ** (1 + up ** 0.3) + zigzag * 2.5)
        self.a0 = vector(-0.19 + zigzag * 0.3 + linear * 0.4)
        names = ["w", "a", "g"]
        if not self.first:
            self.v0 = vector(0.73 - linear * 0.4)
            names.append("v")
        for name in names:
            rank = size["rank_" + name]
            setattr(self, name + "1", nn.Parameter(torch.zeros(C, rank)))
            setattr(self, name + "2", _orthogonal(rank, C, 0.1))
        self.k_k, self.k_a = vector(0.71 - linear * 0.1), vector(1.02)
        self.r_k = nn.Parameter(torch.full((self.heads, N), -0.04))
        self.receptance = Linear(C, C, 0.5 / math.sqrt(C))
        self.key = Linear(C, C, 0.05 / math.sqrt(C))
        self.value = Linear(C, C, 0.5 / math.sqrt(C))
        self.output = Linear(C, C, 0.0)
        self.ln_x = nn.Module()
        self.ln_x.weight = nn.Parameter(torch.full((C,), ((1 + layer) / L) ** 0.7))
        self.ln_x.bias = nn.Parameter(torch.zeros(C))

    def before(self, u, keep, v_first):
        """Everything up to the recurrence; returns its six inputs [B, T, H, N], the gate [B, T, C] and v_first."""
        B, T, C = u.shape
        d = shifted(u, keep) - u
        xr, xw, xk, xv, xa, xg = (u + d * getattr(self, "x_" + name) for name in "rwkvag")
        r, k, v = self.receptance(xr), self.key(xk), self.value(xv)
        z = self.w0 + (torch.tanh(xw @ self.w1) @ self.w2)
        w = torch.exp(-HALF_DECAY * torch.sigmoid(z))
        a = torch.sigmoid(self.a0 + (xa @ self.a1) @ self.a2)
        g = torch.sigmoid(xg @ self.g1) @ self.g2
        if self.first:
            v_first = v
        else:
            v = v + (v_first - v) * torch.sigmoid(self.v0 + (xv @ self.v1) @ self.v2)
        heads = (B, T, self.heads, self.head_size)
        kk = F.normalize((k * self.k_k).view(heads), dim=-1, eps=1e-12)
        k = k * (1 + (a - 1) * self.k_a)
        a = a.view(heads)
        return r.view(heads), w.view(heads), k.view(heads), v.view(heads), kk, kk * a, g, v_first

    def after(self, y, r, k, v, g):
        """Head norm, bonus, gate and output projection of the recurrence's y."""
        B, T, H, N = y.shape
        y = y - y.mean(-1, keepdim=True)
        y = y * torch.rsqrt((y * y).mean(-1, keepdim=True) + HEAD_NORM_EPS)
        y = y * self.ln_x.weight.view(H, N) + self.ln_x.bias.view(H, N)
        y = y + (r * k * self.r_k).sum(-1, keepdim=True) * v
        return self.output(y.reshape(B, T, H * N) * g)


class ChannelMix(nn.Module):
    """Section 7: token shift, squared ReLU."""

    def __init__(self, size, layer):
        super().__init__()
        C, width = size["channels"], size["ffn"]
        ramp = torch.arange(C, dtype=torch.float32).view(1, 1, C) / C
        self.x_k = nn.Parameter(1 - ramp ** ((1 - layer / size["layers"]) ** 4))
        self.key = Linear(width, C, 0.5 / math.sqrt(C))
        self.value = Linear(C, width, 0.0)

    def forward(self, u, keep):
        m = u + (shifted(u, keep) - u) * self.x_k
        return self.value(torch.relu(self.key(m)) ** 2)


class Block(nn.Module):
    """One layer, cut around the recurrence so that both halves can be compiled and fused."""

    def __init__(self, size, layer):
        super().__init__()
        C = size["channels"]
        if layer == 0:
            self.ln0 = nn.LayerNorm(C)
        self.ln1, self.ln2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.att, self.ffn = TimeMix(size, layer), ChannelMix(size, layer)

    def head(self, x, keep, v_first):
        return self.att.before(self.ln1(x), keep, v_first)

    def tail(self, x, keep, y, r, k, v, g):
        x = x + self.att.after(y, r, k, v, g)
        return x + self.ffn(self.ln2(x), keep)


class Rwkv7(nn.Module):
    """The whole model. size: channels, layers, head_size, ffn, rank_w/a/v/g, rows (of embedding and head)."""

    def __init__(self, size):
        super().__init__()
        C, V = size["channels"], size["rows"]
        self.size = dict(size)
        self.emb = nn.Module()
        self.emb.weight = _uniform(V, C, 1e-4)
        self.blocks = nn.ModuleList(Block(size, i) for i in range(size["layers"]))
        self.ln_out = nn.LayerNorm(C)
        self.head = nn.Module()
        self.head.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(V, C), gain=0.5 * math.sqrt(max(1.0, V / C))))

    def hidden(self, tokens, reset):
        """Residual stream after the first and after the last block. tokens: [B, T]; reset: uint8 [B, T/CHUNK]."""
        keep = torch.ones(tokens.shape, device=tokens.device)
        keep[:, ::CHUNK] = 1.0 - reset
        keep = keep.unsqueeze(-1)
        x = self.blocks[0].ln0(F.embedding(tokens, self.emb.weight))
        v_first = first = None
        for block in self.blocks:
            r, w, k, v, kk, b, g, v_first = block.head(x, keep, v_first)
            y = wkv(reset, r, w, k, v, kk, b)
            x = block.tail(x, keep, y, r, k, v, g)
            first = x if first is None else first
        return first, x

    def logits(self, x):
        return F.linear(self.ln_out(x), self.head.weight)

    def losses(self, x, targets):
        """Cross entropy per position, and whether the arg max is the target. x: [positions, C]."""
        logits = self.logits(x)
        return F.cross_entropy(logits, targets, reduction="none"), logits.detach().argmax(-1) == targets

    def forward(self, tokens, reset):
        return self.logits(self.hidden(tokens, reset)[1])
