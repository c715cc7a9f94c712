// Products of rows with packed weights; with product_pack.hpp, product_row.hpp (one row, weights not packed) and
// product_gradient.hpp (gradients of weights).
//
// Rows are given by pointer, so the rows of a batch may lie anywhere. Nothing outside the named rows and columns is
// read or written. c must not overlap a or the weights; init may be c itself, or the same row (a bias) for all rows.
#pragma once

#include "product_gradient.hpp"
#include "product_kernel.hpp"
#include "product_pack.hpp"
#include "product_row.hpp"

namespace rr {
namespace RR_ISA {

// One slice of one panel (columns <= NR of them) with all rows, which bring the slice that comes next nearer.
template <class T>
RR_INLINE void multiply_slice(const Parts& parts, int64_t columns, bool ahead, const Tile<T>& slice) {
    Tile<T> tile = slice;
    tile.tail = tail_of<T>(columns);
    tile.ahead_step = ahead && parts.count > 1 ? NR<T> / parts.count : 0;
    for (int64_t part = 0; part < parts.count; ++part) {
        const int64_t start = parts.start(part);
        tile.a = slice.a + start;
        tile.init = slice.init ? slice.init + start : nullptr;
        tile.c = slice.c + start;
        tile.ahead = slice.panel + slice.depth * NR<T> + part * slice.depth * tile.ahead_step;
        run_kernel<T>(parts.start(part + 1) - start, vectors_of<T>(columns), tile);
    }
}

// One panel, slice after slice; `column` is where its first column lies in init and c.
template <class T>
RR_INLINE void multiply_columns(int64_t rows, const T* const* a, int64_t K, const T* panel, int64_t column,
                                int64_t columns, bool ahead, const T* const* init, T* const* c) {
    const Parts parts(rows, ROWS);
    const Slices slices(K);
    for (int64_t s = 0; s < slices.count; ++s) {
        const int64_t k = slices.start(s);
        multiply_slice<T>(parts, columns, ahead,
                          {a, k, 1, slices.depth(s), panel + k * NR<T>, 0, s ? c : init, c, column, 0, nullptr, 0});
    }
}

// Few rows: P panels at once, since the sums of one panel are too few to hide the latency of a product. Returns how
// many columns it has done.
template <class T, int R, int P>
int64_t multiply_wide(const T* const* a, int64_t K, const T* packed, int64_t N, const T* const* init, T* const* c) {
    int64_t n = 0;
    for (; n + P * NR<T> <= N; n += P * NR<T>) {
        const Slices slices(K);
        for (int64_t s = 0; s < slices.count; ++s) {
            const int64_t k = slices.start(s);
            const T* panel = packed + n * K + k * NR<T>;
            kernel<T, R, COLUMNS * P, false>(
                {a, k, 1, slices.depth(s), panel, NR<T> * K, s ? c : init, c, n, 0, nullptr, 0});
        }
    }
    return n;
}

// One row, so many vectors: from LEAST to MOST.
template <class T, int LEAST, int MOST> void run_row(int64_t vectors, const Tile<T>& tile) {
    if constexpr (LEAST < MOST) {
        if (vectors < MOST) return run_row<T, LEAST, MOST - 1>(vectors, tile);
    }
    kernel<T, 1, MOST, false>(tile);
}

// One row and all panels: four at once, since the sums of one are too few to hide the latency of a product; of fewer
// with AVX-512 each alone, where that gives what the cache gives. What is left over of a few vectors goes with what is
// before it: one sum alone takes four times as long as a sum in company.
template <class T>
void multiply_row(const T* const* a, int64_t K, const T* packed, int64_t N, const T* const* init, T* const* c) {
    constexpr int wide = 4 * COLUMNS, narrow = BYTES < 64 ? 2 * COLUMNS : COLUMNS, few = COLUMNS / 2;
    for (int64_t n = 0; n < N;) {
        const int64_t left = (N - n + VL<T> - 1) / VL<T>, most = left < wide ? narrow : wide;
        const int64_t vectors = left <= most + few ? left : most;
        const int tail = vectors == left ? tail_of<T>(N) : 0;
        const Slices slices(K);
        for (int64_t s = 0; s < slices.count; ++s) {
            const int64_t k = slices.start(s);
            const Tile<T> tile = {a, k, 1, slices.depth(s), packed + n * K + k * NR<T>, NR<T> * K, s ? c : init,
                                  c, n, tail, nullptr, 0};
            if (left < wide) {
                run_row<T, 1, narrow + few>(vectors, tile);
            } else {
                run_row<T, wide, wide + few>(vectors, tile);
            }
        }
        n += vectors * VL<T>;
    }
}

// The same for all panels of B [K, N]; `ahead` for those who come with a part of B, while all of it is beyond_cache.
//
// Measured on one core with 48 KB and 2 MB of cache, 249 GFLOP/s in float at its peak (AVX-512): 90-94 % of it from 6
// rows on for weights within the second cache; beyond it 85-90 % from 16 rows on, and with fewer rows what memory
// gives (30 GB/s: 12 rows get 70 % and 16 rows 85 %, against 53 and 60 % without fetching ahead). One row: 170 GB/s, or
// those 30. Panel after panel beats slice after slice over all panels, for memory is then read in order; slices of
// 32 KB beat 16, 24, 48 and 64. Huge pages give 5 % more for 16 MB of weights. With AVX2 (134 GFLOP/s) 84-96 % from 12
// rows on.
template <class T>
void multiply(int64_t rows, const T* const* a, int64_t K, const T* packed, int64_t N, const T* const* init,
              T* const* c, bool ahead = false) {
    int64_t n = 0;
    if (rows == 1) return multiply_row<T>(a, K, packed, N, init, c);
    if (rows == 2) n = multiply_wide<T, 2, 2>(a, K, packed, N, init, c);
    if constexpr (ROWS >= 6) {
        if (rows == 3) n = multiply_wide<T, 3, 2>(a, K, packed, N, init, c);
    }
    ahead = ahead || beyond_cache<T>(K, N);
    for (; n < N; n += NR<T>) {
        const int64_t columns = N - n < NR<T> ? N - n : NR<T>;
        multiply_columns<T>(rows, a, K, packed + n * K, n, columns, ahead, init, c);
    }
}

}  // namespace RR_ISA
}  // namespace rr
