// The kernel of every product: a few rows times a panel of packed columns, all sums in registers.
//
// An element is init plus slice after slice; a slice is one chain, acc = 0; acc = fma(a[k], b[k], acc) for k ascending. So
// it is whichever kernel computes it: the number of rows and the width do not show in its bits. One chain from init over
// all k loses more: of an LSTM of 1,024 units the outputs of 128 steps were 4.7 times as far from double precision as
// torch.nn's, and its weights' gradients 8 times.
#pragma once

#include "simd.hpp"

namespace rr {
namespace RR_ISA {

// What a kernel works on. Element (i, k) of the left side is a[i][first + k * step].
template <class T> struct Tile {
    const T* const* a;
    int64_t first, step;
    int64_t depth;         // how many k
    const T* panel;        // [depth][NR]
    int64_t panel_stride;  // elements from one panel to the next one, for kernels that take several
    const T* const* init;  // what the sums are added to, nullptr: nothing; it may be c
    T* const* c;
    int64_t column;  // of init and c: where the panel's first column lies
    int tail;        // columns in the last vector, 0: all of them
    const T* ahead;  // what will be needed next, brought nearer on the way: so much for each k, 0: nothing
    int64_t ahead_step;
};

// A value in a register, and no longer a place in memory: the compiler would rather load it again for each use.
template <class T> RR_INLINE Vector<T> in_register(Vector<T> v) {
#if defined(__AVX2__)
    __asm__("" : "+v"(v));
#elif defined(__ARM_NEON)
    __asm__("" : "+w"(v));
#endif
    return v;
}

// R rows, W vectors of columns, of several panels where one has fewer. Every index is a constant once the loops are
// unrolled, so `sum` never leaves the registers. At 6 x 4 a step over k is 24 products for 4 loads of b and 6 broadcasts
// of a.
template <class T, int R, int W, bool AHEAD> __attribute__((noinline)) void kernel(const Tile<T>& tile) {
    const int tail = tile.tail;
    Vector<T> sum[R][W];
    const T* a[R];
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
        a[i] = tile.a[i] + tile.first;
#pragma GCC unroll 32
        for (int j = 0; j < W; ++j) sum[i][j] = Vector<T>{};
    }
    const T *panel = tile.panel, *ahead = tile.ahead;
    const int64_t stride = tile.panel_stride, step = tile.step;
    int64_t at = 0;
    for (const T* end = panel + tile.depth * NR<T>; panel != end; panel += NR<T>, at += step) {
        if (AHEAD) {  // at most two lines a step: kernels with `ahead` come at least in pairs
            __builtin_prefetch(ahead, 0, 2);
            if (COLUMNS * BYTES > 128) __builtin_prefetch(ahead + 64 / sizeof(T), 0, 2);
            ahead += tile.ahead_step;
        }
        if constexpr (R < W) {
            Vector<T> x[R];
#pragma GCC unroll 8
            for (int i = 0; i < R; ++i) x[i] = broadcast(a[i][at]);
#pragma GCC unroll 32
            for (int j = 0; j < W; ++j) {
                Vector<T> b = load(panel + (j / COLUMNS) * stride + (j % COLUMNS) * VL<T>);
                if (R > 1) b = in_register<T>(b);
#pragma GCC unroll 8
                for (int i = 0; i < R; ++i) sum[i][j] = fma<T>(x[i], b, sum[i][j]);
            }
        } else {
            Vector<T> b[W];
#pragma GCC unroll 32
            for (int j = 0; j < W; ++j) b[j] = in_register<T>(load(panel + (j / COLUMNS) * stride + (j % COLUMNS) * VL<T>));
#pragma GCC unroll 8
            for (int i = 0; i < R; ++i) {
                const Vector<T> x = broadcast(a[i][at]);
#pragma GCC unroll 32
                for (int j = 0; j < W; ++j) sum[i][j] = fma<T>(x, b[j], sum[i][j]);
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
        T* c = tile.c[i] + tile.column;
        if (tile.init) {
            const T* init = tile.init[i] + tile.column;
#pragma GCC unroll 32
            for (int j = 0; j < W; ++j) {
                sum[i][j] += j == W - 1 && tail ? load_part(init + j * VL<T>, tail) : load(init + j * VL<T>);
            }
        }
#pragma GCC unroll 32
        for (int j = 0; j < W; ++j) {
            T* to = c + j * VL<T>;
            if (j == W - 1 && tail) {
                store_part(to, sum[i][j], tail);
            } else {
                store(to, sum[i][j]);
            }
        }
    }
}

// The kernel for so many rows (at most R) and vectors (at most V) of one panel.
template <class T, int R = ROWS, int V = COLUMNS> void run_kernel(int64_t rows, int vectors, const Tile<T>& tile) {
    if constexpr (R > 1) {
        if (rows < R) return run_kernel<T, R - 1, V>(rows, vectors, tile);
    }
    if constexpr (V > 1) {
        if (vectors < V) return run_kernel<T, R, V - 1>(R, vectors, tile);
    }
    if (V == COLUMNS && tile.ahead_step) return kernel<T, R, V, V == COLUMNS>(tile);
    kernel<T, R, V, false>(tile);
}

// Columns of a panel that is not whole: how many vectors, and how many columns in the last of them.
template <class T> RR_INLINE int vectors_of(int64_t columns) { return (int)((columns + VL<T> - 1) / VL<T>); }
template <class T> RR_INLINE int tail_of(int64_t columns) { return (int)(columns % VL<T>); }

// `all` in equal parts of at most `most`: 8 rows are 4 + 4 and not 6 + 2, so no kernel runs with few sums in flight.
struct Parts {
    int64_t count, size, more;  // the first `more` parts have one more
    Parts(int64_t all, int64_t most) : count((all + most - 1) / most), size(0), more(0) {
        if (count > 0) {
            size = all / count;
            more = all % count;
        }
    }
    int64_t start(int64_t part) const { return part * size + (part < more ? part : more); }
};

constexpr int64_t DEPTH = 128;  // k of a slice: with AVX-512 its part of a panel, 32 KB, stays in the first cache

// How k = 0 .. K - 1 is cut: at multiples of DEPTH. One slice even if there is no k.
struct Slices {
    int64_t K, count;
    explicit Slices(int64_t k) : K(k), count(k > DEPTH ? (k + DEPTH - 1) / DEPTH : 1) {}
    int64_t start(int64_t s) const { return s * DEPTH; }
    int64_t depth(int64_t s) const { return s + 1 < count ? DEPTH : K - s * DEPTH; }
};

// Whether K x N numbers, read over and over, are taken to lie beyond the second cache.
template <class T> constexpr bool beyond_cache(int64_t K, int64_t N) { return K * N * (int64_t)sizeof(T) > 1 << 20; }

}  // namespace RR_ISA
}  // namespace rr
