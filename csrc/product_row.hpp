// One row times weights that are not packed: for calls with one short sequence, where packing costs more than it gives.
#pragma once

#include "product_pack.hpp"

namespace rr {
namespace RR_ISA {

template <class T> RR_INLINE T fma_one(T a, T b, T c) { return fma<T>(Vector<T>{a}, Vector<T>{b}, Vector<T>{c})[0]; }

// Some columns, one chain after the other; any strides.
template <class T>
void multiply_row_columns(const T* a, int64_t K, const T* w, int64_t row_stride, int64_t column_stride, int64_t n0,
                          int64_t n1, const T* init, T* c) {
    for (int64_t n = n0; n < n1; ++n) {
        T sum = init ? init[n] : T(0);
        const T* column = w + n * column_stride;
        for (int64_t k = 0; k < K; ++k) sum = fma_one(a[k], column[k * row_stride], sum);
        c[n] = sum;
    }
}

// B[k][n] at w[k * row_stride + n]: some k at a time, along the rows of w.
template <class T>
void multiply_row_along(const T* a, int64_t K, const T* w, int64_t row_stride, int64_t N, const T* init, T* c) {
    constexpr int B = 8;
    if (K < B || N < VL<T>) return multiply_row_columns(a, K, w, row_stride, (int64_t)1, (int64_t)0, N, init, c);
    for (int64_t k = 0; k < K;) {
        const int64_t depth = K - k < 2 * B && K - k > B ? K - k : (K - k < B ? K - k : B);
        const T* row = w + k * row_stride;
        int64_t n = 0;
        for (; n + VL<T> <= N; n += VL<T>) {
            Vector<T> sum = init ? load(init + n) : Vector<T>{};
            for (int64_t i = 0; i < depth; ++i) {
                sum = fma<T>(broadcast(a[k + i]), load(row + i * row_stride + n), sum);
            }
            store(c + n, sum);
        }
        multiply_row_columns(a + k, depth, row, row_stride, (int64_t)1, n, N, init, c);
        init = c;
        k += depth;
    }
}

// G vectors of columns of B[k][n] at w[n * column_stride + k]: dot products, turned in registers so that every lane is
// one column's chain.
template <class T, int G>
RR_INLINE void multiply_row_block(const T* a, int64_t K, const T* w, int64_t column_stride, Vector<T>* sum) {
    int64_t k = 0;
    for (; k + QUAD<T> <= K; k += QUAD<T>) {
        Vector<T> turned[G][QUAD<T>];
#pragma GCC unroll 4
        for (int j = 0; j < G; ++j) load_transposed(w + j * VL<T> * column_stride + k, column_stride, turned[j]);
#pragma GCC unroll 4
        for (int i = 0; i < QUAD<T>; ++i) {
            const Vector<T> x = broadcast(a[k + i]);
#pragma GCC unroll 4
            for (int j = 0; j < G; ++j) sum[j] = fma<T>(x, turned[j][i], sum[j]);
        }
    }
    for (; k < K; ++k) {
        for (int j = 0; j < G; ++j) {
            Vector<T> b;
            for (int l = 0; l < VL<T>; ++l) b[l] = w[(j * VL<T> + l) * column_stride + k];
            sum[j] = fma<T>(broadcast(a[k]), b, sum[j]);
        }
    }
}

// c[n] = init[n] + sum over k of a[k] B[k][n], B[k][n] at w[k * row_stride + n * column_stride]; init == nullptr: 0.
template <class T>
void multiply_row_unpacked(const T* a, int64_t K, const T* w, int64_t row_stride, int64_t column_stride, int64_t N,
                           const T* init, T* c) {
    if (column_stride == 1) return multiply_row_along(a, K, w, row_stride, N, init, c);
    int64_t n = 0;
    if (row_stride == 1) {
        constexpr int G = 2;
        for (; n + G * VL<T> <= N; n += G * VL<T>) {
            Vector<T> sum[G];
#pragma GCC unroll 4
            for (int j = 0; j < G; ++j) sum[j] = init ? load(init + n + j * VL<T>) : Vector<T>{};
            multiply_row_block<T, G>(a, K, w + n * column_stride, column_stride, sum);
#pragma GCC unroll 4
            for (int j = 0; j < G; ++j) store(c + n + j * VL<T>, sum[j]);
        }
        for (; n + VL<T> <= N; n += VL<T>) {
            Vector<T> sum = init ? load(init + n) : Vector<T>{};
            multiply_row_block<T, 1>(a, K, w + n * column_stride, column_stride, &sum);
            store(c + n, sum);
        }
    }
    multiply_row_columns(a, K, w, row_stride, column_stride, n, N, init, c);
}

}  // namespace RR_ISA
}  // namespace rr
