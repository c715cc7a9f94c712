// Elementary functions of a vector: exp, tanh, the logistic function, log, softplus, sqrt.
//
// Every element goes through the same instructions, whatever its value: no branches, no tables, special values by
// selection. All are correct at 0, infinities and NaN, and their results reach down into the denormal numbers.
#pragma once

#include "simd.hpp"

namespace rr {
namespace RR_ISA {

// The constants of one precision. Polynomials have their lowest coefficient first.
template <class T> struct Number;

template <> struct Number<float> {
    typedef int32_t Bits;
    static constexpr int mantissa = 23;
    static constexpr Bits bias = 127;
    static constexpr float round = 0x1.8p23f;      // x + round: the integer next to x stands in the low bits
    static constexpr float ln2_high = 45426.0f / 65536;  // times an exponent exactly
    static constexpr float ln2_low = 0x1.7f7d1cp-20f;
    static constexpr float log2_e = 0x1.715476p0f;
    static constexpr float exp_least = -104.0f;    // exp below it is 0, above exp_most infinite
    static constexpr float exp_most = 89.0f;
    static constexpr float tanh_one = 10.0f;       // from here on tanh is 1
    static constexpr float smallest = 0x1p-126f;   // normal number
    static constexpr Bits sqrt_half = 0x3f3504f3;  // the bits of sqrt(1/2)
    static constexpr float exp[] = {0.500000006f, 0.166665425f, 0.0416662806f, 0.00836664392f, 0.00139465561f};
    static constexpr float atanh[] = {0.66666675547930876f, 0.3999888308191481f, 0.28616756632520057f,
                                      0.21428915971868828f, 0.24296581146400692f};
};

template <> struct Number<double> {
    typedef int64_t Bits;
    static constexpr int mantissa = 52;
    static constexpr Bits bias = 1023;
    static constexpr double round = 0x1.8p52;
    static constexpr double ln2_high = 0x1.62e42feep-1;
    static constexpr double ln2_low = 0x1.a39ef35793c76p-33;
    static constexpr double log2_e = 0x1.71547652b82fep0;
    static constexpr double exp_least = -746.0;
    static constexpr double exp_most = 710.0;
    static constexpr double tanh_one = 20.0;
    static constexpr double smallest = 0x1p-1022;
    static constexpr Bits sqrt_half = 0x3fe6a09e667f3bcd;
    static constexpr double exp[] = {0.50000000000000056,    0.16666666666666685,   0.041666666666572948,
                                     0.0083333333333144646,  0.0013888888932615095, 0.00019841269903346826,
                                     2.4801504146116189e-05, 2.7557227639659075e-06, 2.7626451297778082e-07,
                                     2.5114581102372255e-08};
    static constexpr double atanh[] = {0.66666666666666674, 0.3999999999999414,  0.28571428572489294,
                                       0.22222222126830379, 0.18181823150144735, 0.15384453224791023,
                                       0.13336785285977687, 0.11716161843889353, 0.10971209587278603,
                                       0.069992022689482292, 0.1645978834936942};
};

template <class T> RR_INLINE Mask<T> bits(Vector<T> x) { return (Mask<T>)x; }
template <class T> RR_INLINE Vector<T> from_bits(Mask<T> x) { return (Vector<T>)x; }

// The smaller (larger) one; the second argument where either is NaN.
template <class T> RR_INLINE Vector<T> least(Vector<T> a, Vector<T> b) { return select<T>(a < b, a, b); }
template <class T> RR_INLINE Vector<T> most(Vector<T> a, Vector<T> b) { return select<T>(a > b, a, b); }

template <class T> RR_INLINE Mask<T> sign_bit() { return bits<T>(broadcast<T>(T(-0.0))); }
template <class T> RR_INLINE Vector<T> abs_(Vector<T> x) { return from_bits<T>(bits<T>(x) & ~sign_bit<T>()); }

// The magnitude of one number with the sign of another.
template <class T> RR_INLINE Vector<T> copy_sign(Vector<T> magnitude, Vector<T> sign) {
    return from_bits<T>((bits<T>(magnitude) & ~sign_bit<T>()) | (bits<T>(sign) & sign_bit<T>()));
}

// c[0] + c[1] x + c[2] x^2 + ...
template <class T, int N> RR_INLINE Vector<T> polynomial(Vector<T> x, const T (&c)[N]) {
    Vector<T> sum = broadcast<T>(c[N - 1]);
#pragma GCC unroll 16
    for (int i = N - 2; i >= 0; --i) sum = fma<T>(sum, x, broadcast<T>(c[i]));
    return sum;
}

// 2^n for whole n between the least and the largest exponent of a normal number, n given as x + Number::round.
template <class T> RR_INLINE Vector<T> power_of_two(Mask<T> rounded) {
    return from_bits<T>((rounded + Number<T>::bias) << Number<T>::mantissa);
}

// x = n ln 2 + r, |r| <= ln(2) / 2.
template <class T> struct Reduced {
    Vector<T> n, r;
    Mask<T> rounded;  // the bits of n + Number::round
};

template <class T> RR_INLINE Reduced<T> reduce(Vector<T> x) {
    typedef Number<T> Is;
    Vector<T> shifted = fma<T>(x, broadcast<T>(Is::log2_e), broadcast<T>(Is::round));
    Vector<T> n = shifted - Is::round;
    Vector<T> r = fma<T>(n, broadcast<T>(-Is::ln2_high), x);
    r = fma<T>(n, broadcast<T>(-Is::ln2_low), r);
    return {n, r, bits<T>(shifted)};
}

// exp(r) - 1 for |r| <= ln(2) / 2, exact to the last places also where r is tiny.
template <class T> RR_INLINE Vector<T> expm1_reduced(Vector<T> r) {
    return fma<T>(r * r, polynomial<T>(r, Number<T>::exp), r);
}

template <class T> RR_INLINE Vector<T> exp_(Vector<T> x) {
    typedef Number<T> Is;
    x = most<T>(broadcast<T>(Is::exp_least), least<T>(broadcast<T>(Is::exp_most), x));
    Reduced<T> d = reduce<T>(x);
    // 2^n in two factors: n alone reaches past the exponents of normal numbers at both ends.
    Mask<T> n = d.rounded - bits<T>(broadcast<T>(Is::round));
    Mask<T> half = n >> 1;
    return (T(1) + expm1_reduced<T>(d.r)) * power_of_two<T>(half) * power_of_two<T>(n - half);
}

// tanh |x| = -m / (2 + m), where m = exp(-2 |x|) - 1: relative accuracy everywhere, also next to 0.
template <class T> RR_INLINE Vector<T> tanh_(Vector<T> x) {
    typedef Number<T> Is;
    Vector<T> t = T(-2) * least<T>(broadcast<T>(Is::tanh_one), abs_<T>(x));
    Reduced<T> d = reduce<T>(t);
    Vector<T> scale = power_of_two<T>(d.rounded);
    Vector<T> m = fma<T>(scale, expm1_reduced<T>(d.r), scale - T(1));
    return copy_sign<T>(m / (m + T(2)), x);
}

// 1 / (1 + exp(-x)), as exp(x) / (1 + exp(x)) where x is negative: nothing overflows, small results stay exact.
template <class T> RR_INLINE Vector<T> sigmoid_(Vector<T> x) {
    Vector<T> e = exp_<T>(from_bits<T>(bits<T>(x) | sign_bit<T>()));
    return select<T>(x < T(0), e, broadcast<T>(T(1))) / (e + T(1));
}

// log(1 + f) for sqrt(1/2) - 1 <= f <= 1, from s = f / (2 + f): log(1 + f) = 2 atanh(s) = f - s (f - R).
template <class T> RR_INLINE Vector<T> log1p_reduced(Vector<T> f) {
    Vector<T> s = f / (f + T(2));
    Vector<T> z = s * s;
    Vector<T> R = z * polynomial<T>(z, Number<T>::atanh);
    return f - s * (f - R);
}

template <class T> RR_INLINE Vector<T> log_(Vector<T> x) {
    typedef Number<T> Is;
    // x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); denormal numbers are made normal first.
    Mask<T> denormal = x < Is::smallest;
    Vector<T> y = select<T>(denormal, x * T(typename Is::Bits(1) << Is::mantissa), x);
    Mask<T> e = (bits<T>(y) - Is::sqrt_half) >> Is::mantissa;
    Vector<T> f = from_bits<T>(bits<T>(y) - (e << Is::mantissa)) - T(1);
    Vector<T> n = from_bits<T>(e + bits<T>(broadcast<T>(Is::round))) - Is::round;
    n = n - select<T>(denormal, broadcast<T>(T(Is::mantissa)), broadcast<T>(T(0)));
    Vector<T> s = f / (f + T(2));
    Vector<T> z = s * s;
    Vector<T> half = f * f * T(0.5);
    Vector<T> R = fma<T>(z, polynomial<T>(z, Is::atanh), half);
    Vector<T> low = fma<T>(n, broadcast<T>(Is::ln2_low), s * R);
    Vector<T> sum = fma<T>(n, broadcast<T>(Is::ln2_high), f - (half - low));
    // infinity and NaN are themselves, log(0) = -infinity, log of a negative number is NaN
    sum = select<T>(x < T(__builtin_inf()), sum, x);
    sum = select<T>(x == T(0), broadcast<T>(T(-__builtin_inf())), sum);
    return select<T>(x < T(0), broadcast<T>(T(__builtin_nan(""))), sum);
}

// log(exp(x) + 1)
template <class T> RR_INLINE Vector<T> softplus_(Vector<T> x) {
    Vector<T> e = exp_<T>(from_bits<T>(bits<T>(x) | sign_bit<T>()));
    return most<T>(broadcast<T>(T(0)), x) + log1p_reduced<T>(e);
}

template <class T> RR_INLINE Vector<T> sqrt_(Vector<T> x);
#if defined(__AVX512F__)
// the masked forms: GCC 12 warns of its own undefined value in the others
template <> RR_INLINE FloatVector sqrt_<float>(FloatVector x) {
    return (FloatVector)_mm512_maskz_sqrt_ps((__mmask16)-1, (__m512)x);
}
template <> RR_INLINE DoubleVector sqrt_<double>(DoubleVector x) {
    return (DoubleVector)_mm512_maskz_sqrt_pd((__mmask8)-1, (__m512d)x);
}
#elif defined(__AVX2__)
template <> RR_INLINE FloatVector sqrt_<float>(FloatVector x) { return (FloatVector)_mm256_sqrt_ps((__m256)x); }
template <> RR_INLINE DoubleVector sqrt_<double>(DoubleVector x) { return (DoubleVector)_mm256_sqrt_pd((__m256d)x); }
#else
template <> RR_INLINE FloatVector sqrt_<float>(FloatVector x) {
    for (int i = 0; i < VL<float>; ++i) x[i] = __builtin_sqrtf(x[i]);
    return x;
}
template <> RR_INLINE DoubleVector sqrt_<double>(DoubleVector x) {
    for (int i = 0; i < VL<double>; ++i) x[i] = __builtin_sqrt(x[i]);
    return x;
}
#endif

}  // namespace RR_ISA
}  // namespace rr
