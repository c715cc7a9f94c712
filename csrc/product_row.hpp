// One row times weights that are not packed: for calls with one short sequence, where packing costs more than it gives.
#pragma once

#include "product_kernel.hpp"
#include "product_pack.hpp"

namespace rr {
namespace RR_ISA {

// B[k][n] at w[k * row_stride + n], one slice: some k at a time, along the rows of w. init may be c.
template <class T>
void multiply_slice_along(const T* a, int64_t depth, const T* w, int64_t row_stride, int64_t N, const T* init, T* c) {
    constexpr int64_t WIDTH = 32 * VL<T>, SOME = 8;  // columns whose sums are in the first cache; k at a time
    T sums[WIDTH];
    for (int64_t first = 0; first < N; first += WIDTH) {
        const int64_t columns = N - first < WIDTH ? N - first : WIDTH;
        memset(sums, 0, sizeof sums);
        for (int64_t k = 0; k < depth; k += SOME) {
            const int64_t some = depth - k < SOME ? depth - k : SOME;
            const T* row = w + k * row_stride + first;
            int64_t n = 0;
            for (; n + VL<T> <= columns; n += VL<T>) {
                Vector<T> sum = load(sums + n);
                for (int64_t i = 0; i < some; ++i) {
                    sum = fma<T>(broadcast(a[k + i]), load(row + i * row_stride + n), sum);
                }
                store(sums + n, sum);
            }
            if (n < columns) {
                const int tail = (int)(columns - n);
                Vector<T> sum = load_part(sums + n, tail);
                for (int64_t i = 0; i < some; ++i) {
                    sum = fma<T>(broadcast(a[k + i]), load_part(row + i * row_stride + n, tail), sum);
                }
                store_part(sums + n, sum, tail);
            }
        }
        for (int64_t n = 0; n < columns; ++n) c[first + n] = init ? sums[n] + init[first + n] : sums[n];
    }
}

template <class T>
void multiply_row_along(const T* a, int64_t K, const T* w, int64_t row_stride, int64_t N, const T* init, T* c) {
    const Slices slices(K);
    for (int64_t s = 0; s < slices.count; ++s) {
        const int64_t k = slices.start(s);
        multiply_slice_along<T>(a + k, slices.depth(s), w + k * row_stride, row_stride, N, s ? c : init, c);
    }
}

// G vectors of columns of B[k][n] at w[n * column_stride + k * row_stride]. Where the k of a column lie together
// (QUADS), they are turned in registers, so that every lane is one column's chain.
template <class T, int G, bool QUADS>
RR_INLINE void multiply_slice_across(
    const T* a, int64_t K, const T* w, int64_t row_stride, int64_t column_stride, Vector<T>* sum) {
    int64_t k = 0;
    if (QUADS) {
        for (; k + QUAD<T> <= K; k += QUAD<T>) {
            Vector<T> turned[G][QUAD<T>];
#pragma GCC unroll 8
            for (int j = 0; j < G; ++j) load_transposed(w + j * VL<T> * column_stride + k, column_stride, turned[j]);
#pragma GCC unroll 4
            for (int i = 0; i < QUAD<T>; ++i) {
                const Vector<T> x = broadcast(a[k + i]);
#pragma GCC unroll 8
                for (int j = 0; j < G; ++j) sum[j] = fma<T>(x, turned[j][i], sum[j]);
            }
        }
    }
    for (; k < K; ++k) {
        for (int j = 0; j < G; ++j) {
            Vector<T> b;
            for (int l = 0; l < VL<T>; ++l) b[l] = w[(j * VL<T> + l) * column_stride + k * row_stride];
            sum[j] = fma<T>(broadcast(a[k]), b, sum[j]);
        }
    }
}

// sum += slice after slice.
template <class T, int G, bool QUADS>
RR_INLINE void multiply_row_block(
    const T* a, int64_t K, const T* w, int64_t row_stride, int64_t column_stride, Vector<T>* sum) {
    const Slices slices(K);
    for (int64_t s = 0; s < slices.count; ++s) {
        const int64_t k = slices.start(s);
        Vector<T> slice[G] = {};
        multiply_slice_across<T, G, QUADS>(a + k, slices.depth(s), w + k * row_stride, row_stride, column_stride, slice);
        for (int j = 0; j < G; ++j) sum[j] += slice[j];
    }
}

template <class T, bool QUADS>
void multiply_row_across(const T* a, int64_t K, const T* w, int64_t row_stride, int64_t column_stride, int64_t N,
                         const T* init, T* c) {
    constexpr int G = VL<T> < 16 ? 16 / VL<T> : 1;  // 16 streams through w: 32 are more than are fetched ahead
    int64_t n = 0;
    for (; n + G * VL<T> <= N; n += G * VL<T>) {
        Vector<T> sum[G];
#pragma GCC unroll 8
        for (int j = 0; j < G; ++j) sum[j] = init ? load(init + n + j * VL<T>) : Vector<T>{};
        multiply_row_block<T, G, QUADS>(a, K, w + n * column_stride, row_stride, column_stride, sum);
#pragma GCC unroll 8
        for (int j = 0; j < G; ++j) store(c + n + j * VL<T>, sum[j]);
    }
    for (; n < N; n += VL<T>) {
        // The last columns again with those before them, which are not stored twice.
        const int64_t start = n + VL<T> <= N ? n : N - VL<T>;
        if (start < 0) break;
        Vector<T> sum = init ? load(init + start) : Vector<T>{};
        multiply_row_block<T, 1, QUADS>(a, K, w + start * column_stride, row_stride, column_stride, &sum);
        T lanes[VL<T>];
        store(lanes, sum);
        memcpy(c + n, lanes + (n - start), (size_t)(start + VL<T> - n) * sizeof(T));
    }
    for (; n < N; ++n) {  // fewer columns than a vector has
        const T* column = w + n * column_stride;
        const Slices slices(K);
        Vector<T> total = {init ? init[n] : T(0)};
        for (int64_t s = 0; s < slices.count; ++s) {
            const int64_t first = slices.start(s), past = first + slices.depth(s);
            Vector<T> sum = {};
            for (int64_t k = first; k < past; ++k) sum = fma<T>(broadcast(a[k]), Vector<T>{column[k * row_stride]}, sum);
            total += sum;
        }
        c[n] = total[0];
    }
}

// c[n] = init[n] + sum over k of a[k] B[k][n], B[k][n] at w[k * row_stride + n * column_stride]; init == nullptr: 0.
//
// Measured as in product.hpp, float: [K, N] 140 GB/s from the second cache and [N, K] 60 (packed: 170); beyond it 30
// and 28, of the 30 that memory gives.
template <class T>
void multiply_row_unpacked(const T* a, int64_t K, const T* w, int64_t row_stride, int64_t column_stride, int64_t N,
                           const T* init, T* c) {
    if (column_stride == 1) {
        multiply_row_along<T>(a, K, w, row_stride, N, init, c);
    } else if (row_stride == 1) {
        multiply_row_across<T, true>(a, K, w, row_stride, column_stride, N, init, c);
    } else {
        multiply_row_across<T, false>(a, K, w, row_stride, column_stride, N, init, c);
    }
}

}  // namespace RR_ISA
}  // namespace rr
