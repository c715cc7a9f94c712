#include "draw.hpp"

#include <cmath>
#include <limits>

namespace rr {
namespace {

constexpr double INF = std::numeric_limits<double>::infinity();

bool likelier(const double* x, int64_t a, int64_t b) { return x[a] > x[b] || (x[a] == x[b] && a < b); }

// Lets ids[i] sink to where both of its children are less likely.
void sink(const double* x, int64_t* ids, int64_t n, int64_t i) {
    const int64_t id = ids[i];
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        child += child + 1 < n && likelier(x, ids[child + 1], ids[child]);
        if (likelier(x, id, ids[child])) break;
        ids[i] = ids[child];
    }
    ids[i] = id;
}

void heapify(const double* x, int64_t* ids, int64_t n) {
    for (int64_t i = n / 2; i-- > 0;) sink(x, ids, n, i);
}

// The likeliest id of a heap, among equals the lowest; the caller goes on with n - 1.
int64_t pop(const double* x, int64_t* ids, int64_t n) {
    const int64_t first = ids[0];
    ids[0] = ids[n - 1];
    sink(x, ids, n - 1, 0);
    return first;
}

// NumPy's order of a sum along contiguous numbers: halves, down to 128 numbers in 8 interleaved chains.
double pairwise_sum(const double* v, int64_t n) {
    if (n > 128) {
        const int64_t half = n / 2 / 8 * 8;
        return pairwise_sum(v, half) + pairwise_sum(v + half, n - half);
    }
    double sum = 0;
    int64_t i = 0;
    if (n >= 8) {
        double chain[8] = {};
        for (; i + 8 <= n; i += 8) {
            for (int j = 0; j < 8; ++j) chain[j] += v[i + j];
        }
        sum = ((chain[0] + chain[1]) + (chain[2] + chain[3])) + ((chain[4] + chain[5]) + (chain[6] + chain[7]));
    }
    for (; i < n; ++i) sum += v[i];
    return sum;
}

void softmax(const double* x, int64_t V, double* p) {
    double max = -INF;
    for (int64_t i = 0; i < V; ++i) max = x[i] > max ? x[i] : max;
    for (int64_t i = 0; i < V; ++i) p[i] = std::exp(x[i] - max);
    const double sum = pairwise_sum(p, V);
    for (int64_t i = 0; i < V; ++i) p[i] /= sum;
}

// Rules out what the likelier tokens leave no room for: those of which p or more is held before.
void keep_nucleus(DrawSpace space, int64_t V, double top_p) {
    double* x = space.x;
    int64_t n = 0;
    for (int64_t i = 0; i < V; ++i) {
        if (x[i] > -INF) space.ids[n++] = i;
    }
    heapify(x, space.ids, n);
    double held = 0;
    for (int64_t left = n; left > 0; --left) {
        const int64_t id = pop(x, space.ids, left);
        held += space.w[id];
        space.ids[left - 1] = held - space.w[id] < top_p ? -1 : id;  // a place that pop no longer needs
    }
    for (int64_t i = 0; i < n; ++i) {
        if (space.ids[i] >= 0) x[space.ids[i]] = -INF;
    }
}

}  // namespace

int64_t draw_exactly(DrawSpace space, int64_t V, double top_p, double uniform) {
    const double* x = space.x;
    double* cumulative = space.w;
    softmax(x, V, space.w);
    if (top_p < 1) {
        keep_nucleus(space, V, top_p);
        softmax(x, V, space.w);
    }
    for (int64_t i = 1; i < V; ++i) cumulative[i] += cumulative[i - 1];
    const double target = uniform * cumulative[V - 1];
    int64_t token = 0, last = V - 1;
    while (token < V && cumulative[token] <= target) ++token;
    while (last > 0 && !(x[last] > -INF)) --last;  // rounding can at most pass the end
    return token < last ? token : last;
}

}  // namespace rr
