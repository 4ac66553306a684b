/* The RWKV-7 recurrence and its exact gradient on a CPU, and the greedy tokenizer; loaded by native.py.
 *
 * Per head, with b = kk∘a:   q = S kk;   S <- S diag(w) - q b^T + v k^T;   y = S r.
 * Every array is [B, T, H, N], T a multiple of CHUNK. `reset` is [B, T/CHUNK]: nonzero clears S before that chunk.
 * The forward pass keeps S at the end of every chunk. The backward pass recomputes one chunk at a
 * time from there, so no step has to be inverted. The two sums over rows and the updates run along
 * j, which is contiguous: the compiler vectorises them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef REAL
#define REAL float
#endif
#define CHUNK 8
#define MAXN 64

int wkv_chunk(void)
{
    return CHUNK;
}

static void step(int n, REAL *S, const REAL *w, const REAL *k, const REAL *v, const REAL *kk, const REAL *b, REAL *q)
{
    for (int i = 0; i < n; i++) {
        REAL *row = S + i * n, sum = 0;
        for (int j = 0; j < n; j++)
            sum += row[j] * kk[j];
        q[i] = sum;
        for (int j = 0; j < n; j++)
            row[j] = row[j] * w[j] - sum * b[j] + v[i] * k[j];
    }
}

void wkv_forward(int B, int T, int H, int n, const uint8_t *reset, const REAL *r, const REAL *w, const REAL *k,
                 const REAL *v, const REAL *kk, const REAL *b, REAL *y, REAL *q, REAL *ends)
{
    const int chunks = T / CHUNK;
#pragma omp parallel for schedule(dynamic)
    for (int bh = 0; bh < B * H; bh++) {
        const int batch = bh / H, head = bh % H;
        REAL S[MAXN * MAXN];
        memset(S, 0, sizeof S);
        for (int t = 0; t < T; t++) {
            const size_t at = (((size_t)batch * T + t) * H + head) * n;
            if (t % CHUNK == 0 && reset[(size_t)batch * chunks + t / CHUNK])
                memset(S, 0, sizeof S);
            step(n, S, w + at, k + at, v + at, kk + at, b + at, q + at);
            for (int i = 0; i < n; i++) {
                REAL sum = 0;
                for (int j = 0; j < n; j++)
                    sum += S[i * n + j] * r[at + j];
                y[at + i] = sum;
            }
            if (t % CHUNK == CHUNK - 1)
                memcpy(ends + ((size_t)bh * chunks + t / CHUNK) * n * n, S, (size_t)n * n * sizeof *S);
        }
    }
}

void wkv_backward(int B, int T, int H, int n, const uint8_t *reset, const REAL *r, const REAL *w, const REAL *k,
                  const REAL *v, const REAL *kk, const REAL *b, const REAL *q, const REAL *ends, const REAL *dy,
                  REAL *dr, REAL *dw, REAL *dk, REAL *dv, REAL *dkk, REAL *db)
{
    const int chunks = T / CHUNK;
#pragma omp parallel for schedule(dynamic)
    for (int bh = 0; bh < B * H; bh++) {
        const int batch = bh / H, head = bh % H;
        const size_t nn = (size_t)n * n;
        REAL *states = malloc((CHUNK + 1) * nn * sizeof *states), dS[MAXN * MAXN], scratch[MAXN], dq[MAXN];
        memset(dS, 0, sizeof dS);
        for (int c = chunks - 1; c >= 0; c--) {
            const int fresh = c == 0 || reset[(size_t)batch * chunks + c];
            if (fresh)
                memset(states, 0, nn * sizeof *states);
            else
                memcpy(states, ends + ((size_t)bh * chunks + c - 1) * nn, nn * sizeof *states);
            for (int m = 0; m < CHUNK; m++) {
                const size_t at = (((size_t)batch * T + c * CHUNK + m) * H + head) * n;
                memcpy(states + (m + 1) * nn, states + m * nn, nn * sizeof *states);
                step(n, states + (m + 1) * nn, w + at, k + at, v + at, kk + at, b + at, scratch);
            }
            for (int m = CHUNK - 1; m >= 0; m--) {
                const size_t at = (((size_t)batch * T + c * CHUNK + m) * H + head) * n;
                const REAL *now = states + (m + 1) * nn, *old = states + m * nn;
                REAL gr[MAXN] = {0}, gw[MAXN] = {0}, gk[MAXN] = {0}, gkk[MAXN] = {0}, gb[MAXN] = {0};
                for (int i = 0; i < n; i++) {
                    REAL *row = dS + i * n, sv = 0, sb = 0;
                    const REAL g = dy[at + i], vi = v[at + i], qi = q[at + i];
                    for (int j = 0; j < n; j++) {
                        gr[j] += g * now[i * n + j];
                        row[j] += g * r[at + j];
                        sv += row[j] * k[at + j];
                        sb += row[j] * b[at + j];
                    }
                    dv[at + i] = sv;
                    dq[i] = -sb;
                    for (int j = 0; j < n; j++) {
                        gk[j] += row[j] * vi;
                        gb[j] -= row[j] * qi;
                        gw[j] += row[j] * old[i * n + j];
                        gkk[j] += dq[i] * old[i * n + j];
                        row[j] = row[j] * w[at + j] + dq[i] * kk[at + j];
                    }
                }
                memcpy(dr + at, gr, n * sizeof *gr);
                memcpy(dw + at, gw, n * sizeof *gw);
                memcpy(dk + at, gk, n * sizeof *gk);
                memcpy(dkk + at, gkk, n * sizeof *gkk);
                memcpy(db + at, gb, n * sizeof *gb);
            }
            if (fresh)
                memset(dS, 0, sizeof dS);
        }
        free(states);
    }
}

/* Greedy longest match. next[node*256 + byte]: child or 0; id[node]: token or 0. Writes the token and its end offset. */
int encode(const uint8_t *text, int length, const int32_t *next, const int32_t *id, int32_t *tokens, int32_t *ends)
{
    int count = 0;
    for (int at = 0; at < length;) {
        int node = 0, best = 0, stop = at;
        for (int p = at; p < length && (node = next[node * 256 + text[p]]) != 0; p++)
            if (id[node])
                best = id[node], stop = p + 1;
        if (!best)
            return -1;
        tokens[count] = best;
        ends[count++] = at = stop;
    }
    return count;
}
