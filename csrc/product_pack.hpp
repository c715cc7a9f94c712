// Weights packed for the kernel: panel p holds columns p * NR .. p * NR + NR of B [K, N] as [K][NR], zeros past N.
#pragma once

#include "simd.hpp"

namespace rr {
namespace RR_ISA {

#if defined(__clang__)
#define RR_SHUFFLE(mask, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define RR_SHUFFLE(mask, a, b, ...) __builtin_shuffle(a, b, mask{__VA_ARGS__})
#endif
#define RR_ZIP(name, vector, mask, ...) \
    RR_INLINE vector name(vector a, vector b) { return RR_SHUFFLE(mask, a, b, __VA_ARGS__); }

// Within every 16 bytes: low of a0 a1 a2 a3 and b0 b1 b2 b3 is a0 b0 a1 b1, high is a2 b2 a3 b3; of doubles, a0 b0
// and a1 b1.
#if defined(__AVX512F__)
RR_ZIP(zip_low, FloatVector, Int32Vector, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
RR_ZIP(zip_high, FloatVector, Int32Vector, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
RR_ZIP(zip_low, DoubleVector, Int64Vector, 0, 8, 2, 10, 4, 12, 6, 14)
RR_ZIP(zip_high, DoubleVector, Int64Vector, 1, 9, 3, 11, 5, 13, 7, 15)
#elif defined(__AVX2__)
RR_ZIP(zip_low, FloatVector, Int32Vector, 0, 8, 1, 9, 4, 12, 5, 13)
RR_ZIP(zip_high, FloatVector, Int32Vector, 2, 10, 3, 11, 6, 14, 7, 15)
RR_ZIP(zip_low, DoubleVector, Int64Vector, 0, 4, 2, 6)
RR_ZIP(zip_high, DoubleVector, Int64Vector, 1, 5, 3, 7)
#else
RR_ZIP(zip_low, FloatVector, Int32Vector, 0, 4, 1, 5)
RR_ZIP(zip_high, FloatVector, Int32Vector, 2, 6, 3, 7)
RR_ZIP(zip_low, DoubleVector, Int64Vector, 0, 2)
RR_ZIP(zip_high, DoubleVector, Int64Vector, 1, 3)
#endif

template <class T> constexpr int QUAD = 16 / (int)sizeof(T);  // elements in 16 bytes

// 16 bytes from each of p, p + gap, p + 2 gap, ...: one register.
template <class T> RR_INLINE Vector<T> load_quads(const T* p, int64_t gap) {
    typedef T Quad __attribute__((vector_size(16)));
    Quad quad[BYTES / 16];
#pragma GCC unroll 4
    for (int i = 0; i < BYTES / 16; ++i) __builtin_memcpy(&quad[i], p + i * gap, 16);
#if defined(__AVX512F__)
    __m512i v = _mm512_castsi128_si512((__m128i)quad[0]);
    v = _mm512_inserti32x4(v, (__m128i)quad[1], 1);
    v = _mm512_inserti32x4(v, (__m128i)quad[2], 2);
    return (Vector<T>)_mm512_inserti32x4(v, (__m128i)quad[3], 3);
#elif defined(__AVX2__)
    return (Vector<T>)_mm256_inserti128_si256(_mm256_castsi128_si256((__m128i)quad[0]), (__m128i)quad[1], 1);
#else
    return (Vector<T>)quad[0];
#endif
}

// Element n of out[k] is p[n * stride + k], for VL values of n and QUAD values of k: a transpose in registers.
RR_INLINE void load_transposed(const float* p, int64_t stride, FloatVector* out) {
    FloatVector row[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) row[i] = load_quads(p + i * stride, 4 * stride);
    const DoubleVector a = (DoubleVector)zip_low(row[0], row[1]), b = (DoubleVector)zip_low(row[2], row[3]);
    const DoubleVector c = (DoubleVector)zip_high(row[0], row[1]), d = (DoubleVector)zip_high(row[2], row[3]);
    out[0] = (FloatVector)zip_low(a, b);
    out[1] = (FloatVector)zip_high(a, b);
    out[2] = (FloatVector)zip_low(c, d);
    out[3] = (FloatVector)zip_high(c, d);
}
RR_INLINE void load_transposed(const double* p, int64_t stride, DoubleVector* out) {
    const DoubleVector a = load_quads(p, 2 * stride), b = load_quads(p + stride, 2 * stride);
    out[0] = zip_low(a, b);
    out[1] = zip_high(a, b);
}

// How many elements the packed form of B [K, N] takes.
template <class T> int64_t packed_size(int64_t K, int64_t N) { return (N + NR<T> - 1) / NR<T> * NR<T> * K; }

template <class T> RR_INLINE void copy_columns(T* to, const T* from, int64_t columns) {
    int64_t j = 0;
    for (; j + VL<T> <= columns; j += VL<T>) store(to + j, load(from + j));
    if (j < columns) store_part(to + j, load_part(from + j, (int)(columns - j)), (int)(columns - j));
}

// B[k][n] = b[k * row_stride + n * column_stride].
template <class T> void pack(const T* b, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N, T* out) {
    for (int64_t n0 = 0; n0 < N; n0 += NR<T>, out += K * NR<T>) {
        const int64_t columns = N - n0 < NR<T> ? N - n0 : NR<T>;
        const T* from = b + n0 * column_stride;
        if (columns < NR<T>) memset(out, 0, (size_t)(K * NR<T>) * sizeof(T));
        int64_t k = 0;  // rows done
        if (column_stride == 1) {
            for (; k < K; ++k) copy_columns<T>(out + k * NR<T>, from + k * row_stride, columns);
        } else if (row_stride == 1) {
            for (; k + QUAD<T> <= K; k += QUAD<T>) {
                int64_t j = 0;
                for (; j + VL<T> <= columns; j += VL<T>) {
                    Vector<T> turned[QUAD<T>];
                    load_transposed(from + j * column_stride + k, column_stride, turned);
#pragma GCC unroll 4
                    for (int i = 0; i < QUAD<T>; ++i) store(out + (k + i) * NR<T> + j, turned[i]);
                }
                for (; j < columns; ++j) {
                    for (int i = 0; i < QUAD<T>; ++i) out[(k + i) * NR<T> + j] = from[j * column_stride + k + i];
                }
            }
        }
        for (; k < K; ++k) {
            for (int64_t j = 0; j < columns; ++j) out[k * NR<T> + j] = from[k * row_stride + j * column_stride];
        }
    }
}

}  // namespace RR_ISA
}  // namespace rr
