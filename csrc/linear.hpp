// Rows times a packed weight, plus a bias: tables of projected tokens, and the output layer of a generator.
#pragma once

#include "product.hpp"
#include "threads.hpp"

namespace rr {
namespace RR_ISA {

template <class T> struct Linear {
    int64_t rows;
    const T* a;
    int64_t a_row, K;
    const T* panels;
    int64_t N;
    const T* bias;  // [N] or none
    T* c;
    int64_t c_row;
    int parts;
};

constexpr int64_t LINEAR_ROWS = 64;           // at once
constexpr int64_t LINEAR_SHARED = 768 << 10;  // bytes of weights from which threads share the columns

template <class T> void linear_part(void* context, int part) {
    const Linear<T>& job = *(const Linear<T>*)context;
    const int64_t panels = (job.N + NR<T> - 1) / NR<T>;
    const int64_t n0 = panels * part / job.parts * NR<T>, past = panels * (part + 1) / job.parts * NR<T>;
    const int64_t n1 = past < job.N ? past : job.N;
    const T* a[LINEAR_ROWS];
    const T* start[LINEAR_ROWS];
    T* c[LINEAR_ROWS];
    for (int64_t row = 0; row < job.rows && n0 < n1; row += LINEAR_ROWS) {
        const int64_t rows = job.rows - row < LINEAR_ROWS ? job.rows - row : LINEAR_ROWS;
        for (int64_t r = 0; r < rows; ++r) {
            a[r] = job.a + (row + r) * job.a_row;
            start[r] = job.bias + (job.bias ? n0 : 0);
            c[r] = job.c + (row + r) * job.c_row + n0;
        }
        multiply<T>(rows, a, job.K, job.panels + n0 * job.K, n1 - n0, job.bias ? start : nullptr, c);
    }
}

// c[r][n] = bias[n] + sum over k of a[r][k] B[k][n], for rows that lie a_row and c_row apart.
template <class T>
void linear(int64_t rows, const T* a, int64_t a_row, int64_t K, const T* panels, int64_t N, const T* bias, T* c, int64_t c_row, int threads) {
    Linear<T> job = {rows, a, a_row, K, panels, N, bias, c, c_row, 1};
    if (K * N * (int64_t)sizeof(T) >= LINEAR_SHARED && threads > 1) job.parts = threads;
    parallel(job.parts, linear_part<T>, &job);
}

}  // namespace RR_ISA
}  // namespace rr
