// Gradients of weights and biases: sums over all rows (t, b), in ascending order and one chain for each element.
#pragma once

#include "product_kernel.hpp"
#include "product_pack.hpp"

namespace rr {
namespace RR_ISA {

constexpr int64_t GRADIENT_ROWS = 1024;                           // of v, packed at a time
constexpr int64_t GRADIENT_COLUMNS = 16 * ROWS;                   // of g, copied at a time
constexpr int64_t GRADIENT_STRIDE = GRADIENT_COLUMNS + 16;        // of the copy: no power of two, for the cache's sake

// How many elements of scratch gradient_product takes.
template <class T> int64_t gradient_scratch(int64_t R, int64_t n0, int64_t n1, int64_t M) {
    if (n1 <= n0) return 0;
    const int64_t rows = R < GRADIENT_ROWS ? R : GRADIENT_ROWS, depth = R < KC<T> ? R : KC<T>;
    return rows * ((M + NR<T> - 1) / NR<T> * NR<T>) + depth * GRADIENT_STRIDE;
}

// Rows of v as panels, [row][NR], one after the other.
template <class T> void pack_rows(int64_t depth, const T* const* v, int64_t M, T* out) {
    for (int64_t k = 0; k < depth; ++k) {
        const T* row = v[k];
        T* to = out + k * NR<T>;
        int64_t m = 0;
        for (; m + NR<T> <= M; m += NR<T>, to += depth * NR<T>) copy_columns<T>(to, row + m, NR<T>);
        if (m < M) {
            memset(to, 0, NR<T> * sizeof(T));
            copy_columns<T>(to, row + m, M - m);
        }
    }
}

// At most GRADIENT_ROWS rows. v is packed, slice after slice of KC rows; then for some columns of g at a time all the
// slices pass, so that their part of C stays in the second cache.
template <class T>
void gradient_rows(int64_t R, const T* const* g, const T* const* v, int64_t n0, int64_t n1, int64_t M, T* C,
                   int64_t ldc, bool accumulate, T* scratch) {
    const int64_t width = (M + NR<T> - 1) / NR<T> * NR<T>;
    const Parts slices(R, KC<T>);
    for (int64_t s = 0; s < slices.count; ++s) {
        const int64_t r = slices.start(s);
        pack_rows<T>(slices.start(s + 1) - r, v + r, M, scratch + r * width);
    }
    T* block = scratch + R * width;
    const bool ahead = beyond_cache<T>(R, width);
    for (int64_t first = n0; first < n1; first += GRADIENT_COLUMNS) {
        const int64_t last = first + GRADIENT_COLUMNS < n1 ? first + GRADIENT_COLUMNS : n1;
        const Parts parts(last - first, ROWS);
        for (int64_t s = 0; s < slices.count; ++s) {
            const int64_t r = slices.start(s), depth = slices.start(s + 1) - r;
            for (int64_t k = 0; k < depth; ++k) {
                copy_columns<T>(block + k * GRADIENT_STRIDE, g[r + k] + first, last - first);
            }
            const T* panel = scratch + r * width;
            for (int64_t m = 0; m < M; m += NR<T>, panel += depth * NR<T>) {
                const int64_t columns = M - m < NR<T> ? M - m : NR<T>;
                const int64_t ahead_step = ahead && parts.count > 1 ? NR<T> / parts.count : 0;
                for (int64_t part = 0; part < parts.count; ++part) {
                    const int64_t start = parts.start(part), rows = parts.start(part + 1) - start;
                    const T* a[ROWS] = {};
                    T* c[ROWS] = {};
                    for (int64_t i = 0; i < rows; ++i) {
                        a[i] = block + start + i;
                        c[i] = C + (first + start + i) * ldc;
                    }
                    run_kernel<T>(rows, vectors_of<T>(columns),
                                  {a, 0, GRADIENT_STRIDE, depth, panel, 0, r || accumulate ? c : nullptr, c, m,
                                   tail_of<T>(columns), panel + depth * (NR<T> + part * ahead_step), ahead_step});
                }
            }
        }
    }
}

// C[n][m] (+)= sum over r of g[r][n] v[r][m], for rows n0 <= n < n1 of C and all m < M; C[n][m] lies at C[n * ldc + m].
//
// Measured as in product.hpp, all packing and memory counted: 76-88 % of the peak for M >= 128, 71-79 % at M = 64. What
// is lost waits for g, read in pieces from beyond the second cache. Tried, no better: g packed as [row][ROWS] (three
// times the time to pack), g read where it lies (rows far apart cost more than the copy), wider pieces, fetching the
// next piece or C ahead, deeper slices.
template <class T>
void gradient_product(int64_t R, const T* const* g, const T* const* v, int64_t n0, int64_t n1, int64_t M, T* C,
                      int64_t ldc, bool accumulate, T* scratch) {
    if (n1 <= n0 || M <= 0) return;
    if (R <= 0 && !accumulate) {
        for (int64_t n = n0; n < n1; ++n) memset(C + n * ldc, 0, (size_t)M * sizeof(T));
    }
    const Parts blocks(R, GRADIENT_ROWS);
    for (int64_t b = 0; b < blocks.count; ++b) {
        const int64_t r = blocks.start(b), rows = blocks.start(b + 1) - r;
        gradient_rows<T>(rows, g + r, v + r, n0, n1, M, C, ldc, accumulate || r, scratch);
    }
}

// out[n] = sum over r of g[r][n], for n0 <= n < n1.
template <class T> void column_sums(int64_t R, const T* const* g, int64_t n0, int64_t n1, T* out) {
    for (int64_t n = n0; n < n1; ++n) out[n] = 0;
    constexpr int B = 8;  // rows at a time, so that out is not read and written for each row
    int64_t r = 0;
    for (; r + B <= R; r += B) {
        int64_t n = n0;
        for (; n + VL<T> <= n1; n += VL<T>) {
            Vector<T> sum = load(out + n);
#pragma GCC unroll 8
            for (int i = 0; i < B; ++i) sum += load(g[r + i] + n);
            store(out + n, sum);
        }
        for (; n < n1; ++n) {
            T sum = out[n];
            for (int i = 0; i < B; ++i) sum += g[r + i][n];
            out[n] = sum;
        }
    }
    for (; r < R; ++r) {
        for (int64_t n = n0; n < n1; ++n) out[n] += g[r][n];
    }
}

}  // namespace RR_ISA
}  // namespace rr
