// Drawing tokens from logits, fast: the very tokens of draw.hpp's definition.
//
// An estimate in whole vectors finds the token and how far the uniform lies from the token's borders. Where that is
// more than the estimate and the definition together can err, the token is certain; else the definition decides: for 65
// tokens less than once in 10^10 draws. So no token depends on the instruction set or on how its exponential rounds.
#pragma once

#include "draw.hpp"
#include "math.hpp"
#include "philox.hpp"
#include "simd.hpp"

namespace rr {
namespace RR_ISA {

constexpr double SAMPLING_INF = __builtin_huge_val();
constexpr int64_t DRAW_VL = VL<double>;

static_assert(DRAW_BLOCK % DRAW_VL == 0, "a block is whole vectors");

RR_INLINE Int64Vector ids_from(int64_t first) {
    Int64Vector lanes = {};
    for (int64_t i = 0; i < DRAW_VL; ++i) lanes[i] = i;
    return lanes + first;
}

// As many numbers as a vector of doubles has, in double; of a vector, the first ones.
typedef float HalfVector __attribute__((vector_size(BYTES / 2)));
RR_INLINE DoubleVector load_wide(const double* p) { return load(p); }
RR_INLINE DoubleVector load_wide(const float* p) {
    HalfVector half;
    __builtin_memcpy(&half, p, sizeof half);
    return __builtin_convertvector(half, DoubleVector);
}
RR_INLINE DoubleVector widen(DoubleVector v) { return v; }
RR_INLINE DoubleVector widen(FloatVector v) { return load_wide((const float*)&v); }

RR_INLINE double greatest_lane(DoubleVector v) {
    double found = v[0];
    for (int64_t i = 1; i < DRAW_VL; ++i) found = v[i] > found ? v[i] : found;
    return found;
}

RR_INLINE double sum_of_lanes(DoubleVector v) {
    double sum = 0;
    for (int64_t i = 0; i < DRAW_VL; ++i) sum += v[i];
    return sum;
}

RR_INLINE int64_t sum_of_lanes(Int64Vector v) {
    int64_t sum = 0;
    for (int64_t i = 0; i < DRAW_VL; ++i) sum += v[i];
    return sum;
}

// x[0..V) = the logits, x[V..padded) = -infinity, and the greatest of them. False where one is NaN or +infinity.
template <class T> inline bool read_logits(const T* logits, int64_t V, int64_t padded, double* x, double* greatest) {
    const DoubleVector nothing = broadcast(-SAMPLING_INF);
    DoubleVector found = nothing;
    Int64Vector broken = {};
    int64_t i = 0;
    for (; i + DRAW_VL <= V; i += DRAW_VL) {
        const DoubleVector v = load_wide(logits + i);
        store(x + i, v);
        found = most<double>(v, found);
        broken |= ~(v < -nothing);
    }
    for (; i < padded; i += DRAW_VL) {
        DoubleVector v = nothing;
        if (i < V) v = select<double>(ids_from(i) < V, widen(load_part(logits + i, (int)(V - i))), nothing);
        store(x + i, v);
        found = most<double>(v, found);
        broken |= ~(v < -nothing);
    }
    *greatest = greatest_lane(found);
    return sum_of_lanes(broken) == 0;
}

inline double greatest_of(const double* x, int64_t padded) {
    DoubleVector found = load(x);
    for (int64_t i = DRAW_VL; i < padded; i += DRAW_VL) found = most<double>(load(x + i), found);
    return greatest_lane(found);
}

// out = otherwise wherever x is less than `least`, or equals it at an id after `last`.
inline void keep(const double* x, int64_t padded, double least, int64_t last, double otherwise, double* out) {
    for (int64_t i = 0; i < padded; i += DRAW_VL) {
        const DoubleVector v = load(x + i);
        const Int64Vector kept = (v > least) | ((v == least) & (ids_from(i) <= last));
        store(out + i, select<double>(kept, load(out + i), broadcast(otherwise)));
    }
}

// Numbers in the order of their doubles, and back: 0 for 0, one more for the next double above.
RR_INLINE int64_t rank_of(double x) {
    int64_t bits;
    __builtin_memcpy(&bits, &x, 8);
    return bits ^ (int64_t)((uint64_t)(bits >> 63) >> 1);
}
RR_INLINE double double_of(int64_t rank) {
    const int64_t bits = rank ^ (int64_t)((uint64_t)(rank >> 63) >> 1);
    double x;
    __builtin_memcpy(&x, &bits, 8);
    return x;
}

// Keeps the likeliest tokens until they hold `target` of w, of equally likely ones the lower ids: out = otherwise at
// all others. greatest: of x, finite; all: the sum of w. False, and nothing done, where the last one kept is decided by
// less than `margin`.
//
// Which are kept is found by halving: first the interval of values, which is quick where they are alike, then that of
// representations, which ends whatever they are. Every vector is looked at in each round, none of them is moved.
inline bool keep_likeliest(DrawSpace space, double greatest, double all, double target, double margin,
                           double otherwise, double* out) {
    const double *x = space.x, *w = space.w;
    const int64_t padded = space.padded;
    Int64Vector finite = {};
    DoubleVector found = broadcast(greatest);
    for (int64_t i = 0; i < padded; i += DRAW_VL) {
        const DoubleVector v = load(x + i);
        finite -= (Int64Vector)(v > -SAMPLING_INF);
        found = select<double>((v > -SAMPLING_INF) & (v < found), v, found);
    }
    // Tokens from `low` on hold the target; those from `high` on do not.
    int64_t low = rank_of(-greatest_lane(-found)), high = rank_of(greatest) + 1;
    int64_t n_low = sum_of_lanes(finite), n_high = 0;
    double at_low = all, at_high = 0;
    for (int round = 0; low + 1 < high && n_low - n_high > 1 && at_low != target; ++round) {
        int64_t middle = (low & high) + ((low ^ high) >> 1);
        if (round < 16) {
            const int64_t by_value = rank_of(double_of(low) * 0.5 + double_of(high) * 0.5);
            if (low < by_value && by_value < high) middle = by_value;
        }
        const double least_kept = double_of(middle);
        DoubleVector sum = {};
        Int64Vector count = {};
        for (int64_t i = 0; i < padded; i += DRAW_VL) {
            const Int64Vector kept = load(x + i) >= least_kept;
            sum += select<double>(kept, load(w + i), DoubleVector{});
            count -= kept;
        }
        const double held = sum_of_lanes(sum);
        (held >= target ? low : high) = middle;
        (held >= target ? at_low : at_high) = held;
        (held >= target ? n_low : n_high) = sum_of_lanes(count);
    }
    // The first one is kept however little is asked for.
    if (at_low < target + margin || (at_high > 0 && at_high > target - margin)) return false;
    int64_t last = padded;
    if (n_low - n_high > 1 && at_low != target) {  // they are equal: some of them, in the order of ids
        last = -1;
        for (double held = at_high; last < 0 || held < target + margin; held += w[last]) {
            if (last >= 0 && held > target - margin) return false;
            do {
                if (++last == padded) return false;
            } while (x[last] != double_of(low));
        }
    }
    keep(x, padded, double_of(low), last, otherwise, out);
    return true;
}

// The sum of w[0..padded) and that of every block.
inline double sum_blocks(const double* w, int64_t padded, double* sums) {
    double total = 0;
    for (int64_t i = 0; i < padded; i += DRAW_BLOCK) {
        const double* v = w + i;
        *sums = ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
        total += *sums++;
    }
    return total;
}

// Rules out all but the k likeliest; greatest: of x, finite.
inline void keep_top_k(DrawSpace space, int64_t k, double greatest) {
    int64_t finite = 0;
    for (int64_t i = 0; i < space.padded; ++i) {
        space.w[i] = 1;
        finite += space.x[i] > -SAMPLING_INF;
    }
    if (finite <= k) return;
    keep_likeliest(space, greatest, (double)finite, (double)k, 0, -SAMPLING_INF, space.x);
}

// exp(x) for x <= 0, and 0 where it is below exp(-700): a denormal number takes processors a hundred times as long.
RR_INLINE DoubleVector weight_of(DoubleVector x) {
    const DoubleVector least_exponent = broadcast(-700.0);
    const DoubleVector w = exp_below<double>(most<double>(least_exponent, x));
    return select<double>(x < least_exponent, DoubleVector{}, w);
}

// The token, or -1 where the uniform lies too close to a border. x * scale: the logits divided by the temperature.
inline int64_t draw_estimate(DrawSpace space, int64_t V, double greatest, double scale, double top_p, double uniform) {
    for (int64_t i = 0; i < space.padded; i += DRAW_VL) {
        store(space.w + i, weight_of((load(space.x + i) - greatest) * scale));
    }
    double total = sum_blocks(space.w, space.padded, space.sums);
    // In parts of the total: sums of V numbers, exponentials, and what rounding a quotient does to its exponential.
    const double error = 0x1p-50 * ((double)V + 64 + __builtin_fabs(greatest * scale));
    if (top_p < 1) {
        if (!keep_likeliest(space, greatest, total, total * top_p, total * error, 0, space.w)) return -1;
        total = sum_blocks(space.w, space.padded, space.sums);
    }
    const double target = uniform * total, margin = total * error;
    int64_t block = 0;
    double before = 0;
    while (block + 1 < space.padded / DRAW_BLOCK && before + space.sums[block] <= target) before += space.sums[block++];
    const int64_t end = (block + 1) * DRAW_BLOCK;
    int64_t i = block * DRAW_BLOCK;
    double until = before + space.w[i];
    while (until <= target && i + 1 < end) {
        before = until;
        until += space.w[++i];
    }
    // Where all tokens before have the probability 0, no rounding moves the lower border.
    const bool certain = (before > 0 ? before + margin : before) < target && target + margin < until;
    return certain ? i : -1;
}

// One token from logits[0..V) and a uniform in [0, 1); scratch: draw_scratch_size(V) bytes.
template <class T>
inline Drawn draw_one(const T* logits, int64_t V, const Sampling& how, double uniform, void* scratch, int64_t* token) {
    const DrawSpace space = draw_space(V, scratch);
    double* x = space.x;
    double greatest;
    if (!read_logits(logits, V, space.padded, x, &greatest)) return NOT_FINITE;
    bool lost = false;  // the greatest one was excluded
    for (int64_t i = 0; i < how.excluded_count; ++i) {
        const int64_t id = how.excluded[i];
        if (id < 0 || id >= V) return NO_SUCH_ID;
        lost |= x[id] == greatest;
        x[id] = -SAMPLING_INF;
    }
    if (lost) greatest = greatest_of(x, space.padded);
    if (!(greatest > -SAMPLING_INF)) return NOTHING_LEFT;
    const double top = greatest / how.temperature;
    if (how.temperature == 0 || !(__builtin_fabs(top) < SAMPLING_INF)) {  // so cold that quotients overflow
        int64_t i = 0;
        while (x[i] != greatest) ++i;
        *token = i;
        return DRAWN;
    }
    const bool all = how.top_p >= 1 && (how.top_k == 0 || how.top_k >= V);
    if (all) {  // the estimate needs no division
        *token = draw_estimate(space, V, greatest, 1 / how.temperature, how.top_p, uniform);
        if (*token >= 0) return DRAWN;
    }
    if (how.temperature != 1) {
        for (int64_t i = 0; i < space.padded; i += DRAW_VL) store(x + i, load(x + i) / how.temperature);
    }
    if (!all) {  // filters see the quotients, of which two can be equal where the logits were not
        if (how.top_k > 0 && how.top_k < V) keep_top_k(space, how.top_k, top);
        *token = draw_estimate(space, V, top, 1, how.top_p, uniform);
        if (*token >= 0) return DRAWN;
    }
    *token = draw_exactly(space, V, how.top_p, uniform);
    return DRAWN;
}

RR_INLINE Drawn worse(Drawn a, Drawn b) { return a == DRAWN || (b != DRAWN && b < a) ? b : a; }

// A token for each of some rows of logits, which lie `stride` apart, for stream first_stream + b at a position, whose
// uniforms follow from the seed.
template <class T>
inline Drawn draw(const T* logits, int64_t batch, int64_t stride, int64_t V, const Sampling& how, uint64_t first_stream,
                  uint64_t position, int64_t* tokens, void* scratch) {
    Drawn answer = DRAWN;
    for (int64_t b = 0; b < batch; ++b) {
        const double u = uniform(how.seed, first_stream + (uint64_t)b, position);
        answer = worse(answer, draw_one(logits + b * stride, V, how, u, scratch, tokens + b));
    }
    return answer;
}

}  // namespace RR_ISA
}  // namespace rr
