// A list of elementwise instructions over a tile of rows, and the functions of a whole row.
//
// The tile is small enough for the first cache, so one instruction runs over all of it before the next one starts: the
// price of choosing the operation is paid once for a tile, and the loop inside has no branch. An instruction may write
// the row that it reads: every element is read before it is written.
#pragma once

#include "math.hpp"
#include "simd.hpp"

namespace rr {
namespace RR_ISA {

// The numbers are part of the interface; engine/native.py has the same table. Names as in engine/program.py.
enum Op : int32_t {
    OP_COPY = 0,
    OP_ADD = 1,
    OP_SUB = 2,
    OP_MUL = 3,
    OP_DIV = 4,
    OP_MAXIMUM = 5,
    OP_MINIMUM = 6,
    OP_NEG = 7,
    OP_SIGMOID = 8,
    OP_TANH = 9,
    OP_RELU = 10,
    OP_EXP = 11,
    OP_LOG = 12,
    OP_SOFTPLUS = 13,
    OP_SQUARE = 14,
    OP_SQRT = 15,
    OP_ABS = 16,
    OP_SIGN = 17,
    OP_POSITIVE = 18,
    OP_SIGMOID_GRAD = 19,  // a = g, b = y
    OP_TANH_GRAD = 20,     // a = g, b = y
    OP_FMA = 21,           // a * b + c in one rounding
    OP_MEAN = 100,         // of a whole row: row_mean and row_rstd, not instructions of a tile
    OP_RSTD = 101,
};

// Element (r, j) of a slot is rows[r][shift + j]. A vector or a constant has the same pointer in every row.
template <class T> struct Slot {
    T* const* rows;
    int64_t shift;
};

// slots[out] = op(slots[a], slots[b], slots[c]); an input that the operation does not have is -1.
struct Instruction {
    int32_t op, a, b, c, out;
};

// One operation over the tile: INPUTS rows in, one out, whole vectors and then a partial one.
template <class T, int INPUTS, class F>
RR_INLINE void over_tile(const Instruction& at, const Slot<T>* slots, int rows, int columns, F f) {
    constexpr int GROUP = 4;  // vectors that are loaded together and stored together
    constexpr int step = VL<T>;
    const Slot<T>& a = slots[at.a];
    const Slot<T>& b = INPUTS > 1 ? slots[at.b] : a;
    const Slot<T>& c = INPUTS > 2 ? slots[at.c] : a;
    const Slot<T>& out = slots[at.out];
    for (int r = 0; r < rows; ++r) {
        const T* p = a.rows[r] + a.shift;
        const T* q = b.rows[r] + b.shift;
        const T* s = c.rows[r] + c.shift;
        T* to = out.rows[r] + out.shift;
        int j = 0;
        for (; j + GROUP * step <= columns; j += GROUP * step) {
            Vector<T> values[GROUP];
#pragma GCC unroll 4
            for (int i = 0; i < GROUP; ++i) {
                int k = j + i * step;
                values[i] = f(load(p + k), load(q + k), load(s + k));
            }
#pragma GCC unroll 4
            for (int i = 0; i < GROUP; ++i) store<T>(to + j + i * step, values[i]);
        }
        for (; j + step <= columns; j += step) store<T>(to + j, f(load(p + j), load(q + j), load(s + j)));
        if (int n = columns - j) {
            store_part(to + j, f(load_part(p + j, n), load_part(q + j, n), load_part(s + j, n)), n);
        }
    }
}

template <class T>
void interpret(const Instruction* code, int count, const Slot<T>* slots, int rows, int columns) {
    typedef Vector<T> V;
    const V zero = {};
    const V one = broadcast<T>(T(1));
    for (const Instruction* at = code; at < code + count; ++at) {
#define RR_UNARY(expression) \
    over_tile<T, 1>(*at, slots, rows, columns, [=](V a, V, V) RR_LAMBDA { return expression; }); \
    break
#define RR_BINARY(expression) \
    over_tile<T, 2>(*at, slots, rows, columns, [=](V a, V b, V) RR_LAMBDA { return expression; }); \
    break
#define RR_LAMBDA __attribute__((always_inline))
        switch (at->op) {
            case OP_COPY: RR_UNARY(a);
            case OP_ADD: RR_BINARY(a + b);
            case OP_SUB: RR_BINARY(a - b);
            case OP_MUL: RR_BINARY(a * b);
            case OP_DIV: RR_BINARY(a / b);
            // NaN in either operand is the result, as in torch
            case OP_MAXIMUM: RR_BINARY(select<T>(a != a, a, most<T>(a, b)));
            case OP_MINIMUM: RR_BINARY(select<T>(a != a, a, least<T>(a, b)));
            case OP_NEG: RR_UNARY(-a);
            case OP_SIGMOID: RR_UNARY(sigmoid_<T>(a));
            case OP_TANH: RR_UNARY(tanh_<T>(a));
            case OP_RELU: RR_UNARY(select<T>(a < zero, zero, a));
            case OP_EXP: RR_UNARY(exp_<T>(a));
            case OP_LOG: RR_UNARY(log_<T>(a));
            case OP_SOFTPLUS: RR_UNARY(softplus_<T>(a));
            case OP_SQUARE: RR_UNARY(a * a);
            case OP_SQRT: RR_UNARY(sqrt_<T>(a));
            case OP_ABS: RR_UNARY(abs_<T>(a));
            case OP_SIGN: RR_UNARY(select<T>(a > zero, one, select<T>(a < zero, -one, zero)));  // of NaN 0, as torch
            case OP_POSITIVE: RR_UNARY(select<T>(a > zero, one, zero));
            case OP_SIGMOID_GRAD: RR_BINARY(a * b * (one - b));
            case OP_TANH_GRAD: RR_BINARY(a * (one - b * b));
            case OP_FMA:
                over_tile<T, 3>(*at, slots, rows, columns, [](V a, V b, V c) RR_LAMBDA { return fma<T>(a, b, c); });
                break;
            default: break;
        }
#undef RR_UNARY
#undef RR_BINARY
#undef RR_LAMBDA
    }
}

// The sum of f(v[j]) over a row: four vectors add up j ascending, then these, then their lanes, in a fixed order.
template <class T, class F> RR_INLINE T row_sum(const T* v, int64_t n, F f) {
    constexpr int GROUP = 4;
    constexpr int step = VL<T>;
    Vector<T> sums[GROUP] = {};
    int64_t j = 0;
    for (; j + GROUP * step <= n; j += GROUP * step) {
#pragma GCC unroll 4
        for (int i = 0; i < GROUP; ++i) sums[i] = sums[i] + f(load(v + j + i * step));
    }
    int i = 0;
    for (; j + step <= n; j += step, ++i) sums[i] = sums[i] + f(load(v + j));
    if (int rest = (int)(n - j)) {
        // f of the missing elements is not 0: only the others are added
        Vector<T> values = f(load_part(v + j, rest));
        T part[VL<T>];
        store<T>(part, values);
        sums[i] = sums[i] + load_part(part, rest);
    }
    T lanes[step];
    store<T>(lanes, (sums[0] + sums[1]) + (sums[2] + sums[3]));
    for (int width = step / 2; width > 0; width /= 2) {
        for (int k = 0; k < width; ++k) lanes[k] += lanes[k + width];
    }
    return lanes[0];
}

template <class T> RR_INLINE void fill_row(T value, int64_t n, T* out) {
    for (int64_t j = 0; j < n; ++j) out[j] = value;
}

template <class T> RR_INLINE T mean_of_row(const T* v, int64_t n) {
    return row_sum<T>(v, n, [](Vector<T> x) __attribute__((always_inline)) { return x; }) / T(n);
}

// The mean of v[0..n) at every place of out[0..columns); out may be v.
template <class T> void row_mean(const T* v, int64_t n, T* out, int64_t columns) {
    fill_row<T>(mean_of_row<T>(v, n), columns, out);
}

// 1 / sqrt(variance of v[0..n) + 1e-5) at every place of out[0..columns); out may be v.
template <class T> void row_rstd(const T* v, int64_t n, T* out, int64_t columns) {
    const T mean = mean_of_row<T>(v, n);
    T squares = row_sum<T>(v, n, [=](Vector<T> x) __attribute__((always_inline)) { return (x - mean) * (x - mean); });
    const T variance = squares / T(n);
    Vector<T> root = sqrt_<T>(broadcast<T>(variance + T(1e-5)));
    fill_row<T>(T(1) / root[0], columns, out);
}

}  // namespace RR_ISA
}  // namespace rr
