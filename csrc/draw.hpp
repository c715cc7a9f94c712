// What a draw is: the options, the answers, and its definition, which does what decoding/sampling.py does with NumPy,
// sum for sum. sampling.hpp is the fast way to the same token.
#pragma once

#include <cstdint>

namespace rr {

// How tokens are drawn; the caller has checked the values. The layout is part of the ABI.
struct Sampling {
    double temperature;       // divides the logits; 0 takes the likeliest token, the lowest id among equals
    double top_p;             // (0, 1]: only the likeliest tokens that hold this probability; 1 is all
    int64_t top_k;            // only the k likeliest tokens; 0 is all
    uint64_t seed;
    const int64_t* excluded;  // ids that are never drawn
    int64_t excluded_count;
};

// What a draw answers. Of a batch, the least that is not DRAWN; then no token of the batch means anything.
enum Drawn : int {
    DRAWN = 0,
    NOT_FINITE = 1,    // a logit is NaN or +infinity: the weights are broken
    NOTHING_LEFT = 2,  // every token is excluded or has the logit -infinity
    NO_SUCH_ID = 3,    // an excluded id is not one of the vocabulary
};

// What a draw works in, beside one another in the caller's memory.
struct DrawSpace {
    int64_t padded;  // V rounded up to a block
    double *x, *w;   // [padded]
    double* sums;    // [padded / DRAW_BLOCK]
    int64_t* ids;    // [padded]
};

constexpr int64_t DRAW_BLOCK = 8;  // a whole number of vectors of doubles, in every instruction set

static inline int64_t draw_padded(int64_t V) { return (V + DRAW_BLOCK - 1) / DRAW_BLOCK * DRAW_BLOCK; }

// How much memory a draw needs, in bytes; aligned to 8, and whatever it holds is lost.
static inline int64_t draw_scratch_size(int64_t V) {
    const int64_t padded = draw_padded(V);
    return (3 * padded + padded / DRAW_BLOCK) * 8;
}

static inline DrawSpace draw_space(int64_t V, void* scratch) {
    const int64_t padded = draw_padded(V);
    double* x = (double*)scratch;
    double* sums = x + 2 * padded;
    return {padded, x, x + padded, sums, (int64_t*)(sums + padded / DRAW_BLOCK)};
}

// The token that a uniform picks from x[0..V) = logits / temperature, -infinity where a token is ruled out (never all).
// The definition; x is overwritten where top_p < 1.
int64_t draw_exactly(DrawSpace space, int64_t V, double top_p, double uniform);

}  // namespace rr
