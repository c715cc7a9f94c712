// Gradients of weights and biases: sums over all rows (t, b), in ascending order and one chain for each element.
#pragma once

#include "product_kernel.hpp"

namespace rr {
namespace RR_ISA {

template <class T> constexpr int64_t RC = 32768 / (NR<T> * (int64_t)sizeof(T));  // rows at a time

template <class T> int64_t gradient_scratch(int64_t R, int64_t n0, int64_t n1, int64_t M) {
    const int64_t depth = R < RC<T> ? R : RC<T>;
    const int64_t panels = (M + NR<T> - 1) / NR<T>, blocks = (n1 - n0 + ROWS - 1) / ROWS;
    return depth * (panels * NR<T> + blocks * ROWS) + VL<T>;
}

// C[n][m] (+)= sum over r of g[r][n] v[r][m], for rows n0 <= n < n1 of C, all m < M; C[n][m] lies at C[n * ldc + m].
// By blocks of rows: v's as panels, [r][NR], and g's as blocks of some columns, [r][ROWS], so that the kernel of the
// products walks along both.
template <class T>
void gradient_product(int64_t R, const T* const* g, const T* const* v, int64_t n0, int64_t n1, int64_t M, T* C,
                      int64_t ldc, bool accumulate, T* scratch) {
    if (n1 <= n0 || M <= 0) return;
    if (R <= 0 && !accumulate) {
        for (int64_t n = n0; n < n1; ++n) memset(C + n * ldc, 0, (size_t)M * sizeof(T));
    }
    const RowParts parts(n1 - n0);
    for (int64_t r = 0; r < R; r += RC<T>) {
        const int64_t depth = R - r < RC<T> ? R - r : RC<T>;
        const int64_t panel_size = depth * NR<T>;
        T* panels = scratch;
        T* blocks = scratch + (M + NR<T> - 1) / NR<T> * panel_size;
        for (int64_t k = 0; k < depth; ++k) {
            T* out = panels + k * NR<T>;
            const T* row = v[r + k];
            int64_t m = 0;
            for (; m + NR<T> <= M; m += NR<T>, out += panel_size) memcpy(out, row + m, NR<T> * sizeof(T));
            if (m < M) {
                memset(out, 0, NR<T> * sizeof(T));
                memcpy(out, row + m, (size_t)(M - m) * sizeof(T));
            }
            row = g[r + k] + n0;
            for (int64_t part = 0; part < parts.count; ++part) {
                const int64_t start = parts.start(part), end = parts.start(part + 1);
                for (int64_t n = start; n < end; ++n) blocks[(part * depth + k) * ROWS + n - start] = row[n];
            }
        }
        for (int64_t m = 0; m < M; m += NR<T>) {
            const int64_t columns = M - m < NR<T> ? M - m : NR<T>;
            const int vectors = (int)((columns + VL<T> - 1) / VL<T>), tail = (int)(columns % VL<T>);
            for (int64_t part = 0; part < parts.count; ++part) {
                const int64_t start = parts.start(part), rows = parts.start(part + 1) - start;
                const T* a[ROWS];
                T* c[ROWS];
                for (int64_t i = 0; i < rows; ++i) {
                    a[i] = blocks + part * depth * ROWS + i;
                    c[i] = C + (n0 + start + i) * ldc;
                }
                const T* const* init = r || accumulate ? c : nullptr;
                run_kernel<T>(rows, vectors, {a, 0, ROWS, depth, panels + m * depth, 0, init, c, m, tail});
            }
        }
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
