// Vectors of one instruction set: the one place that knows how wide a register is.
//
// The engine is one source, compiled once for each instruction set (isa/*.cpp defines RR_ISA and includes engine.hpp).
// Everything lies in rr::RR_ISA, so that no two of these copies share a symbol; for the same reason no header of the
// engine uses templates of the standard library: the linker would keep one copy of those, perhaps the widest one.
//
// Elementwise code treats every element alike: whole vectors, then one partial vector through the same instructions.
// So the bits of an element do not depend on where in a row it stands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#ifndef RR_ISA
#error "define RR_ISA: see isa/*.cpp"
#endif

#define RR_INLINE inline __attribute__((always_inline))

namespace rr {
namespace RR_ISA {

#if defined(__AVX512F__)
constexpr int BYTES = 64;   // of a register
constexpr int COLUMNS = 4;  // vectors side by side in the product's kernel
constexpr int ROWS = 6;     // rows in the product's kernel: 6 x 4 of 32 registers accumulate
#elif defined(__AVX2__)
constexpr int BYTES = 32;
constexpr int COLUMNS = 2;  // 6 x 2 of 16
constexpr int ROWS = 6;
#elif defined(__ARM_NEON)
constexpr int BYTES = 16;
constexpr int COLUMNS = 4;  // 6 x 4 of 32
constexpr int ROWS = 6;
#else
constexpr int BYTES = 16;
constexpr int COLUMNS = 2;
constexpr int ROWS = 4;
#endif

typedef float FloatVector __attribute__((vector_size(BYTES)));
typedef double DoubleVector __attribute__((vector_size(BYTES)));
typedef int32_t Int32Vector __attribute__((vector_size(BYTES)));
typedef int64_t Int64Vector __attribute__((vector_size(BYTES)));

template <class T> struct VectorOf;
template <> struct VectorOf<float> {
    typedef FloatVector type;
    typedef Int32Vector mask;  // of a comparison; also the bits of the numbers
};
template <> struct VectorOf<double> {
    typedef DoubleVector type;
    typedef Int64Vector mask;
};
template <class T> using Vector = typename VectorOf<T>::type;
template <class T> using Mask = typename VectorOf<T>::mask;

template <class T> constexpr int VL = BYTES / (int)sizeof(T);      // elements of a vector
template <class T> constexpr int NR = COLUMNS * VL<T>;             // columns of a panel of packed weights

template <class T> RR_INLINE Vector<T> broadcast(T x) { return x - Vector<T>{}; }

template <class T> RR_INLINE Vector<T> load(const T* p) {
    Vector<T> v;
    __builtin_memcpy(&v, p, BYTES);
    return v;
}

template <class T> RR_INLINE void store(T* p, Vector<T> v) { __builtin_memcpy(p, &v, BYTES); }

// a * b + c in one rounding where the machine has it.
template <class T> RR_INLINE Vector<T> fma(Vector<T> a, Vector<T> b, Vector<T> c) { return a * b + c; }

template <class T> RR_INLINE Vector<T> select(Mask<T> m, Vector<T> yes, Vector<T> no) { return m ? yes : no; }

// The first n elements, 0 < n < VL; the others are zero and nothing behind them is read or written.
#if defined(__AVX512F__)
RR_INLINE Vector<float> load_part(const float* p, int n) {
    return (FloatVector)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
RR_INLINE Vector<double> load_part(const double* p, int n) {
    return (DoubleVector)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
}
RR_INLINE void store_part(float* p, FloatVector v, int n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
RR_INLINE void store_part(double* p, DoubleVector v, int n) {
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
}
#elif defined(__AVX2__)
alignas(32) constexpr int32_t PART[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};  // read from 8 - n
RR_INLINE __m256i part_mask(int words) { return _mm256_loadu_si256((const __m256i*)(PART + 8 - words)); }
RR_INLINE Vector<float> load_part(const float* p, int n) { return (FloatVector)_mm256_maskload_ps(p, part_mask(n)); }
RR_INLINE Vector<double> load_part(const double* p, int n) {
    return (DoubleVector)_mm256_maskload_pd(p, part_mask(2 * n));
}
RR_INLINE void store_part(float* p, FloatVector v, int n) { _mm256_maskstore_ps(p, part_mask(n), (__m256)v); }
RR_INLINE void store_part(double* p, DoubleVector v, int n) { _mm256_maskstore_pd(p, part_mask(2 * n), (__m256d)v); }
#else
template <class T> RR_INLINE Vector<T> load_part(const T* p, int n) {
    Vector<T> v = {};
    for (int i = 0; i < n; ++i) v[i] = p[i];
    return v;
}
template <class T> RR_INLINE void store_part_of(T* p, Vector<T> v, int n) {
    for (int i = 0; i < n; ++i) p[i] = v[i];
}
RR_INLINE void store_part(float* p, FloatVector v, int n) { store_part_of<float>(p, v, n); }
RR_INLINE void store_part(double* p, DoubleVector v, int n) { store_part_of<double>(p, v, n); }
#endif

}  // namespace RR_ISA
}  // namespace rr
