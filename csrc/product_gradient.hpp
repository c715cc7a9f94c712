// Gradients of weights and biases: sums over all rows (t, b), in ascending order, slice after slice as in product_kernel.hpp.
#pragma once

#include "product_kernel.hpp"
#include "product_pack.hpp"

namespace rr {
namespace RR_ISA {

constexpr int64_t GRADIENT_ROWS = 8 * DEPTH;                      // of v, packed at a time
constexpr int64_t GRADIENT_COLUMNS = 16 * ROWS;                   // of g, copied at a time
constexpr int64_t GRADIENT_STRIDE = GRADIENT_COLUMNS + 16;        // of the copy: no power of two, for the cache's sake

// One of several products that share g: C[n][m] = sum over r of g[r][n] v[r][m], C[n][m] at C[n * ldc + m].
template <class T> struct Gradient {
    const T* const* v;
    int64_t M;
    T* C;
    int64_t ldc;
};

template <class T> RR_INLINE int64_t panels_of(int64_t columns) { return (columns + NR<T> - 1) / NR<T>; }

template <class T> int64_t panels_of(const Gradient<T>* gradients, int count) {
    int64_t found = 0;
    for (int i = 0; i < count; ++i) found += panels_of<T>(gradients[i].M);
    return found;
}

// How many elements of scratch gradient_products takes, of matrices with so many panels in all.
template <class T> int64_t gradient_scratch(int64_t R, int64_t panels) {
    const int64_t rows = R < GRADIENT_ROWS ? R : GRADIENT_ROWS, depth = R < DEPTH ? R : DEPTH;
    return rows * panels * NR<T> + depth * GRADIENT_STRIDE;
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

// All strips of the copied piece of g times all panels of one matrix, one slice of rows deep.
template <class T>
RR_INLINE void gradient_slice(const Parts& strips, const T* block, int64_t depth, const T* panel, bool ahead, bool more,
                              const Gradient<T>& to, int64_t first) {
    const int64_t ahead_step = ahead && strips.count > 1 ? NR<T> / strips.count : 0;
    for (int64_t m = 0; m < to.M; m += NR<T>, panel += depth * NR<T>) {
        const int64_t columns = to.M - m < NR<T> ? to.M - m : NR<T>;
        for (int64_t strip = 0; strip < strips.count; ++strip) {
            const int64_t start = strips.start(strip), rows = strips.start(strip + 1) - start;
            const T* a[ROWS] = {};
            T* c[ROWS] = {};
            for (int64_t i = 0; i < rows; ++i) {
                a[i] = block + start + i;
                c[i] = to.C + (first + start + i) * to.ldc;
            }
            run_kernel<T>(rows, vectors_of<T>(columns),
                          {a, 0, GRADIENT_STRIDE, depth, panel, 0, more ? c : nullptr, c, m, tail_of<T>(columns),
                           panel + depth * (NR<T> + strip * ahead_step), ahead_step});
        }
    }
}

// At most GRADIENT_ROWS rows, from `from` on. All v are packed, slice after slice; then for some columns of
// g at a time all the slices pass, so that their part of every C stays in the second cache.
template <class T>
void gradient_rows(int64_t from, int64_t R, const T* const* g, int64_t n0, int64_t n1, const Gradient<T>* gradients,
                   int count, T* scratch) {
    const int64_t panels = panels_of<T>(gradients, count), width = panels * NR<T>;
    const Slices slices(R);
    T* packed = scratch;
    for (int64_t s = 0; s < slices.count; ++s) {
        const int64_t r = slices.start(s), depth = slices.depth(s);
        for (int i = 0; i < count; ++i) {
            pack_rows<T>(depth, gradients[i].v + from + r, gradients[i].M, packed);
            packed += depth * panels_of<T>(gradients[i].M) * NR<T>;
        }
    }
    T* block = packed;
    const bool ahead = beyond_cache<T>(R, width);
    for (int64_t first = n0; first < n1; first += GRADIENT_COLUMNS) {
        const int64_t last = first + GRADIENT_COLUMNS < n1 ? first + GRADIENT_COLUMNS : n1;
        const Parts strips(last - first, ROWS);
        for (int64_t s = 0; s < slices.count; ++s) {
            const int64_t r = slices.start(s), depth = slices.depth(s);
            for (int64_t k = 0; k < depth; ++k) {
                copy_columns<T>(block + k * GRADIENT_STRIDE, g[from + r + k] + first, last - first);
            }
            const T* panel = scratch + r * width;
            for (int i = 0; i < count; ++i) {
                gradient_slice<T>(strips, block, depth, panel, ahead, from + r > 0, gradients[i], first);
                panel += depth * panels_of<T>(gradients[i].M) * NR<T>;
            }
        }
    }
}

// Several products with one g: rows n0 <= n < n1 of every C.
//
// Measured as in product.hpp, all packing and memory counted: 76-88 % of the peak for 128 or more columns in all and
// 53-79 % for 64. What is lost waits for g, read in pieces from beyond the second cache. Tried, no better: g packed as
// [row][ROWS], even with cheap overlapping stores, g read where it lies (rows far apart cost more than the copy), wider
// pieces, fetching the next piece or C ahead, fetching the next slice of v into the first cache, slices of 22 to 48 KB,
// large pages. Alone the kernel gets 95 % at this depth; C costs 3, g 6, v 2 and its packing 1 of these.
template <class T>
void gradient_products(int64_t R, const T* const* g, int64_t n0, int64_t n1, const Gradient<T>* gradients, int count,
                       T* scratch) {
    if (n1 <= n0) return;
    if (R <= 0) {
        for (int i = 0; i < count; ++i)
            for (int64_t n = n0; n < n1; ++n)
                memset(gradients[i].C + n * gradients[i].ldc, 0, (size_t)gradients[i].M * sizeof(T));
    }
    for (int64_t r = 0; r < R; r += GRADIENT_ROWS) {
        const int64_t rows = R - r < GRADIENT_ROWS ? R - r : GRADIENT_ROWS;
        gradient_rows<T>(r, rows, g, n0, n1, gradients, count, scratch);
    }
}

// One slice of rows: out[n] = sum over r of g[r][n], or that added to out[n], for at most SUM_COLUMNS n from n0 to n1.
constexpr int64_t SUM_COLUMNS = 512;

template <class T>
void column_slice(int64_t depth, const T* const* g, int64_t n0, int64_t n1, T* out, bool add) {
    constexpr int B = 8;  // rows at a time, in pairs: torch's sums of biases are that close to the right ones
    T sums[SUM_COLUMNS] = {};
    const int64_t columns = n1 - n0;
    int64_t r = 0;
    for (; r + B <= depth; r += B) {
        int64_t n = 0;
        for (; n + VL<T> <= columns; n += VL<T>) {
            const auto row = [&](int i) __attribute__((always_inline)) { return load(g[r + i] + n0 + n); };
            store(sums + n, load(sums + n) + (((row(0) + row(1)) + (row(2) + row(3))) + ((row(4) + row(5)) + (row(6) + row(7)))));
        }
        for (; n < columns; ++n) {
            const auto row = [&](int i) { return g[r + i][n0 + n]; };
            sums[n] += ((row(0) + row(1)) + (row(2) + row(3))) + ((row(4) + row(5)) + (row(6) + row(7)));
        }
    }
    for (; r < depth; ++r) {
        for (int64_t n = 0; n < columns; ++n) sums[n] += g[r][n0 + n];
    }
    for (int64_t n = 0; n < columns; ++n) out[n0 + n] = add ? out[n0 + n] + sums[n] : sums[n];
}

// out[n] = sum over r of g[r][n], for n0 <= n < n1.
template <class T> void column_sums(int64_t R, const T* const* g, int64_t n0, int64_t n1, T* out) {
    const Slices slices(R);
    for (int64_t n = n0; n < n1; n += SUM_COLUMNS) {
        const int64_t past = n1 - n < SUM_COLUMNS ? n1 : n + SUM_COLUMNS;
        for (int64_t s = 0; s < slices.count; ++s)
            column_slice<T>(slices.depth(s), g + slices.start(s), n, past, out, s > 0);
    }
}

}  // namespace RR_ISA
}  // namespace rr
