// The kernel of every product: a few rows times a panel of packed columns, all sums in registers.
//
// An element is one chain, acc = init; acc = fma(a[k], b[k], acc) for k ascending, whichever kernel computes it: the
// number of rows, the width, the blocks over k (which store the sums and load them again) do not show in its bits.
#pragma once

#include "simd.hpp"

namespace rr {
namespace RR_ISA {

// What a kernel works on. Element (i, k) of the left side is a[i][first + k * step].
template <class T> struct Tile {
    const T* const* a;
    int64_t first;
    int64_t step;
    int64_t depth;         // how many k
    const T* panel;        // [depth][NR]
    int64_t panel_stride;  // elements from one panel to the next one, for kernels that take several
    const T* const* init;  // what the sums start from, nullptr: 0
    T* const* c;
    int64_t column;  // of init and c, where the panel's first column lies
    int tail;        // columns in the last vector, 0: all of them
};

// ROWS_ rows, V vectors of each of P panels. The compiler keeps `sum` in registers because every index is a constant
// once the loops are unrolled. A vector of b serves all rows and a broadcast of a serves all columns: 10 loads for 24
// products at 6 x 4.
template <class T, int R, int V, int P> void kernel(const Tile<T>& tile) {
    constexpr int W = V * P;
    const int tail = tile.tail;
    Vector<T> sum[R][W];
    const T* a[R];
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
        a[i] = tile.a[i] + tile.first;
#pragma GCC unroll 32
        for (int j = 0; j < W; ++j) sum[i][j] = Vector<T>{};
        if (tile.init) {
            const T* init = tile.init[i] + tile.column;
#pragma GCC unroll 32
            for (int j = 0; j < W; ++j) {
                const T* from = init + (j / V) * NR<T> + (j % V) * VL<T>;
                sum[i][j] = j == W - 1 && tail ? load_part(from, tail) : load(from);
            }
        }
    }
    const T* panel = tile.panel;
    const int64_t stride = tile.panel_stride, step = tile.step;
    int64_t at = 0;
    for (const T* end = panel + tile.depth * NR<T>; panel != end; panel += NR<T>, at += step) {
        Vector<T> b[W];
#pragma GCC unroll 32
        for (int j = 0; j < W; ++j) b[j] = load(panel + (j / V) * stride + (j % V) * VL<T>);
#pragma GCC unroll 8
        for (int i = 0; i < R; ++i) {
            const Vector<T> x = broadcast(a[i][at]);
#pragma GCC unroll 32
            for (int j = 0; j < W; ++j) sum[i][j] = fma<T>(x, b[j], sum[i][j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
        T* c = tile.c[i] + tile.column;
#pragma GCC unroll 32
        for (int j = 0; j < W; ++j) {
            T* to = c + (j / V) * NR<T> + (j % V) * VL<T>;
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
    kernel<T, R, V, 1>(tile);
}

// Rows in parts as equal as they can be, none above ROWS: 8 = 4 + 4, so that no kernel runs with few sums in flight.
struct RowParts {
    int64_t rows, count;
    explicit RowParts(int64_t all) : rows(all), count((all + ROWS - 1) / ROWS) {}
    int64_t start(int64_t part) const {
        const int64_t whole = rows / count, more = rows % count;
        return part * whole + (part < more ? part : more);
    }
};

}  // namespace RR_ISA
}  // namespace rr
