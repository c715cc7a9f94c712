// Tokens written by a stack of recurrent layers, many in one call: look up, step, output product, draw, and again.
//
// Each layer is the Call of a scan of one step, with packed weights: the same code as everywhere, so the same bits. The
// first layer reads a table with a row for each token (the projected embedding, or a column of W where tokens are
// one-hot), the others what the layer below has left. Streams know nothing of each other: each thread takes its own
// through all tokens. A stream alone is stepped by all threads, where its weights are many.
#pragma once

#include "linear.hpp"
#include "sampling.hpp"
#include "scan.hpp"

namespace rr {
namespace RR_ISA {

constexpr int64_t GENERATE_HEADER = 24, GENERATE_PARTS = 64, GENERATE_LAYERS = 64;
constexpr int GENERATE_BAD = 16, GENERATE_NO_MEMORY = 17;  // beside what a draw answers
constexpr double GENERATE_GRAIN = 1 << 24;                 // multiplications that are worth a thread

struct Generation {
    int64_t layers, batch, vocabulary, width, count;  // width: of the last layer's output; count: tokens wanted
    int64_t position, stop;                           // of the first of them; the token that ends a stream, or -1
    int64_t pending;                                  // whether `token` is still to be read before the first draw
    int64_t threads;
    int64_t head, bias, logits;                       // packed [width, V]; [V]; [B, V], which the first draw reads
    int64_t token, running, out;                      // [B]; [B] bytes; [count, B], -1 after a stream's end
    Sampling sampling;
    int64_t made;                                     // written: how many were drawn
};

// What all parts share.
template <class T> struct Stack {
    Generation g;
    Call calls[GENERATE_LAYERS];
    Packed<T>* weights[GENERATE_LAYERS];  // of each layer
    Arena arena;
    int parts;
    int answers[GENERATE_PARTS];
    int64_t made[GENERATE_PARTS];

    int read(const int64_t* words, int64_t count) {
        static_assert(sizeof(Generation) == 22 * sizeof(int64_t), "the words that Python writes");
        if (count < GENERATE_HEADER) return GENERATE_BAD;
        memcpy(&g, words, sizeof g);
        if (g.layers < 1 || g.layers > GENERATE_LAYERS || count != GENERATE_HEADER + 2 * g.layers) return GENERATE_BAD;
        if (g.batch < 1 || g.batch > MOST_SIZE || g.vocabulary < 1 || g.vocabulary > MOST_SIZE) return GENERATE_BAD;
        if (g.count < 0 || g.width < 1 || g.width > MOST_SIZE || g.threads > MOST_THREADS) return GENERATE_BAD;
        if (!g.head || !g.logits || !g.token || !g.running || (g.count && !g.out)) return GENERATE_BAD;
        if (g.sampling.excluded_count < 0 || (g.sampling.excluded_count && !g.sampling.excluded)) return GENERATE_BAD;
        size_t bytes = 0;
        for (int64_t i = 0; i < g.layers; ++i) {
            const int64_t* call = (const int64_t*)words[GENERATE_HEADER + 2 * i];
            if (!call || calls[i].read(call, words[GENERATE_HEADER + 2 * i + 1]) || !fits(i)) return GENERATE_BAD;
            bytes += room<Packed<T>>(calls[i].n_weights);
        }
        if (calls[g.layers - 1].states[0].width != g.width) return GENERATE_BAD;
        const int64_t* token = (const int64_t*)g.token;
        for (int64_t b = 0; b < g.batch; ++b)
            if (g.pending && (token[b] < 0 || token[b] >= g.vocabulary)) return GENERATE_BAD;
        if (!arena.make(bytes)) return GENERATE_NO_MEMORY;
        plan();
        return 0;
    }

    // One step for every stream, of what the layer below leaves.
    bool fits(int64_t i) const {
        const Call& call = calls[i];
        if (call.steps != 1 || call.batch != g.batch || call.lengths || call.n_overrides || !call.x) return false;
        for (int64_t k = 0; k < call.n_weights; ++k)
            if (!call.weights[k].packed) return false;
        if (!i) return call.tokens == (const int64_t*)g.token && call.x_row >= call.code.x_width;
        const State& below = calls[i - 1].states[0];
        return !call.tokens && call.x == below.final && call.x_row == below.width && call.input == below.width;
    }

    void plan() {
        double elements = (double)g.width * (double)g.vocabulary;
        for (int64_t i = 0; i < g.layers; ++i)
            for (int64_t k = 0; k < calls[i].n_weights; ++k)
                elements += (double)calls[i].weights[k].K * (double)calls[i].weights[k].N;
        const bool far = beyond_cache<T>((int64_t)elements, 1);
        for (int64_t i = 0; i < g.layers; ++i) {
            weights[i] = arena.template take<Packed<T>>(calls[i].n_weights);
            for (int64_t k = 0; k < calls[i].n_weights; ++k) {
                const WeightCode& w = calls[i].weights[k];
                weights[i][k] = {(const T*)w.base, nullptr, w.row_stride, w.column_stride, w.K, w.N, far};
            }
        }
        const double worth = elements * (double)g.batch * (double)g.count / GENERATE_GRAIN;
        parts = g.threads < GENERATE_PARTS ? (int)g.threads : (int)GENERATE_PARTS;
        if (parts > g.batch) parts = (int)g.batch;
        if (parts > worth) parts = (int)worth;
        if (parts < 1) parts = 1;
    }
};

// Some of the streams on their way through all tokens.
template <class T> struct Streams {
    Stack<T>& stack;
    const Generation& g;
    int64_t first, last;
    Crew<T> crews[GENERATE_LAYERS];  // of each layer
    Arena arena;

    Streams(Stack<T>& s, int64_t from, int64_t to) : stack(s), g(s.g), first(from), last(to) {}

    bool make() {
        const int64_t most = last - first < BLOCK ? last - first : BLOCK;
        for (int64_t i = 0; i < g.layers; ++i) {
            if (!crews[i].make(stack.calls[i], stack.weights[i], most, false, g.batch == 1 ? g.threads : 1)) return false;
            crews[i].lanes[0]->seat(first, first + most);
        }
        return arena.make((size_t)draw_scratch_size(g.vocabulary));
    }

    // Reads the last tokens: new states and logits.
    void step() {
        for (int64_t i = 0; i < g.layers; ++i) {
            Lane<T>& lane = *crews[i].lanes[0];
            for (int64_t row = first; row < last; row += BLOCK) {
                if (last - first > BLOCK) lane.seat(row, row + BLOCK < last ? row + BLOCK : last);
                lane.forward();
            }
        }
        const T* h = (const T*)stack.calls[g.layers - 1].states[0].final + first * g.width;
        linear<T>(last - first, h, g.width, g.width, (const T*)g.head, g.vocabulary, (const T*)g.bias,
                  (T*)g.logits + first * g.vocabulary, g.vocabulary, g.batch == 1 ? (int)g.threads : 1);
    }

    // Whether any stream goes on; ids: what it has written, nullptr: nothing new.
    bool note(int64_t* ids) {
        const int64_t* token = (const int64_t*)g.token;
        uint8_t* running = (uint8_t*)g.running;
        bool any = false;
        for (int64_t b = first; b < last; ++b) {
            if (ids) {
                ids[b] = running[b] ? token[b] : -1;
                running[b] = running[b] && token[b] != g.stop;
            }
            any = any || running[b];
        }
        return any;
    }

    // How many tokens were written; `answer`: why no more.
    int64_t write(int* answer) {
        int64_t* out = (int64_t*)g.out;
        int64_t made = 0;
        bool any = note(nullptr);
        for (; made < g.count && any; ++made) {
            if (made || g.pending) step();
            *answer = draw<T>((const T*)g.logits + first * g.vocabulary, last - first, g.vocabulary, g.vocabulary, g.sampling,
                              (uint64_t)first, (uint64_t)(g.position + made), (int64_t*)g.token + first, arena.base);
            if (*answer != DRAWN) break;
            any = note(out + made * g.batch);
        }
        for (int64_t n = made; n < g.count; ++n)
            for (int64_t b = first; b < last; ++b) out[n * g.batch + b] = -1;
        return made;
    }
};

template <class T> void write_streams(void* context, int part) {
    Stack<T>& stack = *(Stack<T>*)context;
    const int64_t batch = stack.g.batch;
    Streams<T> streams(stack, batch * part / stack.parts, batch * (part + 1) / stack.parts);
    stack.answers[part] = DRAWN;
    stack.made[part] = 0;
    if (streams.make())
        stack.made[part] = streams.write(&stack.answers[part]);
    else
        stack.answers[part] = GENERATE_NO_MEMORY;
}

template <class T> int generate(int64_t* words, int64_t count) {
    Stack<T> stack;
    const int wrong = stack.read(words, count);
    if (wrong) return wrong;
    parallel(stack.parts, write_streams<T>, &stack);
    int answer = DRAWN;
    int64_t made = 0;
    for (int part = 0; part < stack.parts; ++part) {
        if (stack.answers[part] == GENERATE_NO_MEMORY) return GENERATE_NO_MEMORY;
        answer = worse((Drawn)answer, (Drawn)stack.answers[part]);
        made = stack.made[part] > made ? stack.made[part] : made;
    }
    words[21] = made;
    return answer;
}

}  // namespace RR_ISA
}  // namespace rr
