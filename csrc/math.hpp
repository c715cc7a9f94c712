// Elementary functions of a vector: exp, tanh, the logistic function, log, softplus, sqrt.
//
// Every element goes through the same instructions, whatever its value: no branches, no tables, special values by
// selection. All are correct at 0, infinities and NaN, and their results reach down into the denormal numbers.
//
// The largest error in units of the last place, of all floats and of 12 million doubles:
//
//                                                 exp    tanh   logistic  log    softplus
//     float                                       0.91   2.50   2.41      0.84   1.73
//     double                                      0.91   2.58   2.27      0.84   1.76
//     float, a * b + c rounded twice (plain)      1.16   2.50   2.37      0.83   2.16    (every fifth float)
//     double, a * b + c rounded twice (plain)     1.22   2.58   2.27      0.84   2.08
//
// An approximate inverse with a Newton step is no faster than the division (AVX-512: 10 cycles for 16 floats, most of
// them hidden behind the other instructions), and less exact: so it is a division.
#pragma once

#include "simd.hpp"

namespace rr {
namespace RR_ISA {

// The constants of one precision. Polynomials are minimax on their interval, lowest coefficient first.
template <class T> struct Number;

template <> struct Number<float> {
    typedef int32_t Bits;
    static constexpr int mantissa = 23;
    static constexpr int bias = 127;
    static constexpr float round = 0x1.8p23f;      // x + round: the integer next to x stands in the low bits
    static constexpr float ln2_high = 45426.0f / 65536;  // times an exponent exactly
    static constexpr float ln2_low = 0x1.7f7d1cp-20f;
    static constexpr float ln2 = 0x1.62e430p-1f;
    static constexpr float log2_e = 0x1.715476p0f;
    static constexpr float exp_least = -104.0f;    // exp below it is 0, above exp_most infinite
    static constexpr float exp_most = 89.0f;
    static constexpr float tanh_one = 10.0f;       // from here on tanh is 1
    static constexpr float sigmoid_one = 18.0f;    // from here on the logistic function is 1
    static constexpr int lift = 40;                // 2^lift exp(x) is normal from exp_least to sigmoid_one
    static constexpr float smallest = 0x1p-126f;   // normal number
    static constexpr Bits sqrt_half = 0x3f3504f3;  // the bits of sqrt(1/2)
    static constexpr float exp[] = {1.0f,          1.0f,          0.499999934f, 0.166665201f,
                                    0.0416683942f, 0.00836878041f, 0.0013814467f};
    static constexpr float tanh[] = {-0.333333227f, 0.133311791f, -0.0527255807f};
    static constexpr float atanh[] = {0.66666675547930876f, 0.3999888308191481f, 0.28616756632520057f,
                                      0.21428915971868828f, 0.24296581146400692f};
};

template <> struct Number<double> {
    typedef int64_t Bits;
    static constexpr int mantissa = 52;
    static constexpr int bias = 1023;
    static constexpr double round = 0x1.8p52;
    static constexpr double ln2_high = 0x1.62e42feep-1;
    static constexpr double ln2_low = 0x1.a39ef35793c76p-33;
    static constexpr double ln2 = 0x1.62e42fefa39efp-1;
    static constexpr double log2_e = 0x1.71547652b82fep0;
    static constexpr double exp_least = -746.0;
    static constexpr double exp_most = 710.0;
    static constexpr double tanh_one = 20.0;
    static constexpr double sigmoid_one = 40.0;
    static constexpr int lift = 100;
    static constexpr double smallest = 0x1p-1022;
    static constexpr Bits sqrt_half = 0x3fe6a09e667f3bcd;
    static constexpr double exp[] = {1.0,
                                     1.0,
                                     0.50000000000000111,
                                     0.1666666666666641,
                                     0.041666666666529191,
                                     0.008333333333495627,
                                     0.0013888888943922545,
                                     0.00019841269504757217,
                                     2.4801492762847147e-05,
                                     2.7557587349985214e-06,
                                     2.7630378611613296e-07,
                                     2.4999962759461721e-08};
    static constexpr double tanh[] = {-0.33333333333332482,  0.13333333332780425,    -0.053968252775948113,
                                      0.02186937024504202,   -0.0088572925876389437, 0.0034446334245403112};
    static constexpr double atanh[] = {0.66666666666666674, 0.3999999999999414,  0.28571428572489294,
                                       0.22222222126830379, 0.18181823150144735, 0.15384453224791023,
                                       0.13336785285977687, 0.11716161843889353, 0.10971209587278603,
                                       0.069992022689482292, 0.1645978834936942};
};

template <class T> RR_INLINE Mask<T> bits(Vector<T> x) { return (Mask<T>)x; }
template <class T> RR_INLINE Vector<T> from_bits(Mask<T> x) { return (Vector<T>)x; }

// a - b, which may wrap, as it does in lanes whose result nobody takes.
RR_INLINE Int32Vector wrapped(Int32Vector a, Int32Vector b) {
    typedef uint32_t Unsigned __attribute__((vector_size(BYTES)));
    return (Int32Vector)((Unsigned)a - (Unsigned)b);
}
RR_INLINE Int64Vector wrapped(Int64Vector a, Int64Vector b) {
    typedef uint64_t Unsigned __attribute__((vector_size(BYTES)));
    return (Int64Vector)((Unsigned)a - (Unsigned)b);
}

// The smaller (larger) one; the second argument where either is NaN.
template <class T> RR_INLINE Vector<T> least(Vector<T> a, Vector<T> b) { return select<T>(a < b, a, b); }
template <class T> RR_INLINE Vector<T> most(Vector<T> a, Vector<T> b) { return select<T>(a > b, a, b); }
#if defined(__AVX512F__)
// One instruction with that rule; written out because GCC 12 makes two of the selection.
template <> RR_INLINE FloatVector least<float>(FloatVector a, FloatVector b) {
    return (FloatVector)_mm512_maskz_min_ps((__mmask16)-1, (__m512)a, (__m512)b);
}
template <> RR_INLINE FloatVector most<float>(FloatVector a, FloatVector b) {
    return (FloatVector)_mm512_maskz_max_ps((__mmask16)-1, (__m512)a, (__m512)b);
}
template <> RR_INLINE DoubleVector least<double>(DoubleVector a, DoubleVector b) {
    return (DoubleVector)_mm512_maskz_min_pd((__mmask8)-1, (__m512d)a, (__m512d)b);
}
template <> RR_INLINE DoubleVector most<double>(DoubleVector a, DoubleVector b) {
    return (DoubleVector)_mm512_maskz_max_pd((__mmask8)-1, (__m512d)a, (__m512d)b);
}
#elif defined(__AVX2__)
template <> RR_INLINE FloatVector least<float>(FloatVector a, FloatVector b) {
    return (FloatVector)_mm256_min_ps((__m256)a, (__m256)b);
}
template <> RR_INLINE FloatVector most<float>(FloatVector a, FloatVector b) {
    return (FloatVector)_mm256_max_ps((__m256)a, (__m256)b);
}
template <> RR_INLINE DoubleVector least<double>(DoubleVector a, DoubleVector b) {
    return (DoubleVector)_mm256_min_pd((__m256d)a, (__m256d)b);
}
template <> RR_INLINE DoubleVector most<double>(DoubleVector a, DoubleVector b) {
    return (DoubleVector)_mm256_max_pd((__m256d)a, (__m256d)b);
}
#endif

template <class T> RR_INLINE Mask<T> sign_bit() { return bits<T>(broadcast<T>(T(-0.0))); }
template <class T> RR_INLINE Vector<T> abs_(Vector<T> x) { return from_bits<T>(bits<T>(x) & ~sign_bit<T>()); }

// c[0] + c[1] x + c[2] x^2 + ...
template <class T, int N> RR_INLINE Vector<T> polynomial(Vector<T> x, const T (&c)[N]) {
    Vector<T> sum = broadcast<T>(c[N - 1]);
#pragma GCC unroll 16
    for (int i = N - 2; i >= 0; --i) sum = fma<T>(sum, x, broadcast<T>(c[i]));
    return sum;
}

// exp(x) = 2^n fraction, sqrt(1/2) <= fraction <= sqrt(2), for exp_least <= x <= exp_most.
template <class T> struct Scaled {
    Vector<T> fraction, n;
    Mask<T> biased;  // its low bits are n + bias + the `lift` that was asked for

    // 2^(n + lift + by) where that is a normal number
    RR_INLINE Vector<T> power(Mask<T> by) const { return from_bits<T>((biased + by) << Number<T>::mantissa); }
};

template <class T> RR_INLINE Scaled<T> scaled_exp(Vector<T> x, int lift) {
    typedef Number<T> Is;
    const T round = Is::round + T(Is::bias + lift);
    Vector<T> shifted = fma<T>(x, broadcast<T>(Is::log2_e), broadcast<T>(round));
    Vector<T> n = shifted - round;
    Vector<T> r = fma<T>(n, broadcast<T>(-Is::ln2_high), x);
    r = fma<T>(n, broadcast<T>(-Is::ln2_low), r);  // |r| <= ln(2) / 2
    return {polynomial<T>(r, Is::exp), n, bits<T>(shifted)};
}

#if defined(__AVX512F__)
constexpr bool SCALES = true;  // the machine multiplies by 2^n, also beyond the exponents of normal numbers
// v 2^n, and 0 where x <= least.
RR_INLINE FloatVector scale(FloatVector v, FloatVector n, FloatVector x, float least) {
    const __mmask16 kept = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(least), _CMP_NLE_UQ);
    return (FloatVector)_mm512_maskz_scalef_ps(kept, (__m512)v, (__m512)n);
}
RR_INLINE DoubleVector scale(DoubleVector v, DoubleVector n, DoubleVector x, double least) {
    const __mmask8 kept = _mm512_cmp_pd_mask((__m512d)x, _mm512_set1_pd(least), _CMP_NLE_UQ);
    return (DoubleVector)_mm512_maskz_scalef_pd(kept, (__m512d)v, (__m512d)n);
}
#else
constexpr bool SCALES = false;
template <class V, class T> RR_INLINE V scale(V v, V, V, T) { return v; }
#endif

// exp(x) for x <= exp_most. What is 0, from exp_least down, is so by selection: a product that vanishes, or a denormal
// one, takes processors a hundred cycles.
template <class T> RR_INLINE Vector<T> exp_below(Vector<T> x) {
    typedef Number<T> Is;
    if (SCALES) {
        Scaled<T> e = scaled_exp<T>(x, 0);
        return scale(e.fraction, e.n, x, Is::exp_least);
    }
    const Mask<T> none = x <= Is::exp_least;
    x = most<T>(broadcast<T>(Is::exp_least), x);
    Scaled<T> e = scaled_exp<T>(x, 0);
    // 2^n in two factors, the second one 2^lift or its inverse: both are normal numbers
    const Mask<T> lift = Mask<T>{} + Is::lift;
    Mask<T> up = x > T(0);
    Mask<T> second = (up ? Is::bias + lift : Is::bias - lift) << Is::mantissa;
    return e.fraction * e.power(up ? -lift : lift) * from_bits<T>(second & ~none);
}

template <class T> RR_INLINE Vector<T> exp_(Vector<T> x) {
    typedef Number<T> Is;
    return exp_below<T>(least<T>(broadcast<T>(Is::exp_most), x));
}

// With |x| = r - n ln(2) / 2, s = 2^n = exp(2 n ln(2) / 2) and t = tanh r:
// tanh |x| = ((1 - s) + (1 + s) t) / ((1 + s) + (1 - s) t), and next to 0, where s = 1, it is t: no digits are lost.
template <class T> RR_INLINE Vector<T> tanh_(Vector<T> x) {
    typedef Number<T> Is;
    const T round = Is::round + T(Is::bias);
    Vector<T> a = least<T>(broadcast<T>(Is::tanh_one), abs_<T>(x));
    Vector<T> shifted = fma<T>(a, broadcast<T>(-2 * Is::log2_e), broadcast<T>(round));
    Vector<T> n = shifted - round;
    Vector<T> r = fma<T>(n, broadcast<T>(Is::ln2 / 2), a);  // |r| <= ln(2) / 4
    Vector<T> square = r * r;
    Vector<T> t = fma<T>(r * square, polynomial<T>(square, Is::tanh), r);
    Vector<T> s = from_bits<T>(bits<T>(shifted) << Is::mantissa);
    Vector<T> minus = T(1) - s;
    Vector<T> plus = T(1) + s;
    Vector<T> y = fma<T>(plus, t, minus) / fma<T>(minus, t, plus);
    return from_bits<T>(bits<T>(y) | (bits<T>(x) & sign_bit<T>()));
}

// exp(x) / (1 + exp(x)): small results stay exact. Without `scale` both are times 2^lift, so that exp(x) is a normal
// number also where the result is not.
template <class T> RR_INLINE Vector<T> sigmoid_(Vector<T> x) {
    typedef Number<T> Is;
    x = least<T>(broadcast<T>(Is::sigmoid_one), x);
    if (SCALES) {
        Vector<T> e = exp_below<T>(x);
        return e / (e + T(1));
    }
    const Mask<T> none = x <= Is::exp_least;
    Scaled<T> d = scaled_exp<T>(most<T>(broadcast<T>(Is::exp_least), x), Is::lift);
    Vector<T> e = from_bits<T>(bits<T>(d.fraction * d.power(Mask<T>{})) & ~none);
    return e / (e + from_bits<T>((Mask<T>{} + Is::bias + Is::lift) << Is::mantissa));
}

// log(1 + f) for 0 <= f <= 1, from s = f / (2 + f): log(1 + f) = 2 atanh(s) = f - s (f - R); f itself where it is tiny.
template <class T> RR_INLINE Vector<T> log1p_reduced(Vector<T> given) {
    const Vector<T> tiny = broadcast<T>(T(1) / T(typename Number<T>::Bits(2) << Number<T>::mantissa));
    Vector<T> f = most<T>(tiny, given);
    Vector<T> s = f / (f + T(2));
    Vector<T> z = s * s;
    Vector<T> R = z * polynomial<T>(z, Number<T>::atanh);
    return select<T>(given < tiny, given, f - s * (f - R));
}

template <class T> RR_INLINE Vector<T> log_(Vector<T> x) {
    typedef Number<T> Is;
    // x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); denormal numbers are made normal first.
    Mask<T> denormal = x < Is::smallest;
    Vector<T> y = select<T>(denormal, x * T(typename Is::Bits(1) << Is::mantissa), x);
    Mask<T> e = wrapped(bits<T>(y), Mask<T>{} + Is::sqrt_half) >> Is::mantissa;
    Vector<T> f = from_bits<T>(wrapped(bits<T>(y), e << Is::mantissa)) - T(1);
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

// log(exp(x) + 1) = max(x, 0) + log(1 + exp(-|x|))
template <class T> RR_INLINE Vector<T> softplus_(Vector<T> x) {
    Vector<T> e = exp_below<T>(from_bits<T>(bits<T>(x) | sign_bit<T>()));
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
