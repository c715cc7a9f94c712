// Products of rows with packed weights, and the products of training and of single rows: see product_*.hpp.
//
// Rows are given by pointer, so rows of a batch may lie anywhere. Nothing outside the named rows and columns is read or
// written. c must not overlap a or the weights; init may be c itself, or the same row (a bias) for all.
#pragma once

#include "product_gradient.hpp"
#include "product_kernel.hpp"
#include "product_pack.hpp"
#include "product_row.hpp"

namespace rr {
namespace RR_ISA {

// How many k at a time: a slice of a panel, 32 KB, stays in the first cache while all rows pass over it.
template <class T> constexpr int64_t KC = 32768 / (NR<T> * (int64_t)sizeof(T));

// One slice of one panel (columns <= NR of them) with all rows.
template <class T> RR_INLINE void multiply_slice(int64_t rows, int64_t columns, const Tile<T>& slice) {
    Tile<T> tile = slice;
    const int vectors = (int)((columns + VL<T> - 1) / VL<T>);
    tile.tail = (int)(columns % VL<T>);
    const RowParts parts(rows);
    for (int64_t part = 0; part < parts.count; ++part) {
        const int64_t start = parts.start(part);
        tile.a = slice.a + start;
        tile.init = slice.init ? slice.init + start : nullptr;
        tile.c = slice.c + start;
        run_kernel<T>(parts.start(part + 1) - start, vectors, tile);
    }
}

// c[r][0..columns) = init[r][0..columns) + sum over k of a[r][k] panel[k][.], for one panel; init == nullptr: 0.
template <class T>
void multiply_panel(int64_t rows, const T* const* a, int64_t K, const T* panel, int64_t columns, const T* const* init,
                    T* const* c) {
    const int64_t block = rows <= ROWS ? K : KC<T>;
    int64_t k = 0;
    do {
        const int64_t depth = K - k < block ? K - k : block;
        multiply_slice<T>(rows, columns, {a, k, 1, depth, panel + k * NR<T>, 0, k ? c : init, c, 0, 0});
        k += depth;
    } while (k < K);
}

// Few rows: P panels at once, since the sums of one panel are too few to hide the latency of a product. Returns the
// columns that it has done.
template <class T, int R, int P>
int64_t multiply_wide(const T* const* a, int64_t K, const T* packed, int64_t N, const T* const* init, T* const* c) {
    int64_t n = 0;
    for (; n + P * NR<T> <= N; n += P * NR<T>) {
        kernel<T, R, COLUMNS, P>({a, 0, 1, K, packed + n * K, NR<T> * K, init, c, n, 0});
    }
    return n;
}

// The same for all panels of B [K, N].
template <class T>
void multiply(int64_t rows, const T* const* a, int64_t K, const T* packed, int64_t N, const T* const* init,
              T* const* c) {
    int64_t done = 0;
    if (rows == 1) done = multiply_wide<T, 1, 4>(a, K, packed, N, init, c);
    if (rows == 2) done = multiply_wide<T, 2, 2>(a, K, packed, N, init, c);
    if (rows == 3 && ROWS >= 6) done = multiply_wide<T, 3, 2>(a, K, packed, N, init, c);
    const int64_t block = rows <= ROWS ? K : KC<T>;
    int64_t k = 0;
    do {
        const int64_t depth = K - k < block ? K - k : block;
        for (int64_t n = done; n < N; n += NR<T>) {
            const T* panel = packed + n * K + k * NR<T>;
            const int64_t columns = N - n < NR<T> ? N - n : NR<T>;
            multiply_slice<T>(rows, columns, {a, k, 1, depth, panel, 0, k ? c : init, c, n, 0});
        }
        k += depth;
    } while (k < K);
}

}  // namespace RR_ISA
}  // namespace rr
