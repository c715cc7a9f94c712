// Tokens written by a stack of recurrent layers, many in one call: look up, step, output product, draw, and again.
//
// Each layer is the Call of a scan of one step, with packed weights: the same code as everywhere, so the same bits. The
// first layer reads a table with a row for each token (the projected embedding, or a column of W where tokens are
// one-hot), the others what the layer below has left.
#pragma once

#include "linear.hpp"
#include "sampling.hpp"
#include "scan.hpp"

namespace rr {
namespace RR_ISA {

constexpr int64_t GENERATE_HEADER = 24;
constexpr int GENERATE_BAD = 16, GENERATE_NO_MEMORY = 17;  // beside what a draw answers

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

template <class T> struct Stack {
    static constexpr int MOST = 64;
    Call calls[MOST];
    Packed<T>* weights[MOST] = {};
    Crew<T> crews[MOST];
    int64_t layers = 0;

    ~Stack() {
        for (int64_t i = 0; i < layers; ++i) free(weights[i]);
    }

    // Layer by layer: the words of its call, and how many they are.
    int make(const int64_t* words, const Generation& g) {
        if (g.layers < 1 || g.layers > MOST) return GENERATE_BAD;
        for (; layers < g.layers;) {
            const int64_t i = layers;
            Call& call = calls[i];
            if (call.read((const int64_t*)words[2 * i], words[2 * i + 1])) return GENERATE_BAD;
            if (call.steps != 1 || call.batch != g.batch || call.lengths || call.tokens != (i ? nullptr : (const int64_t*)g.token))
                return GENERATE_BAD;
            weights[i] = (Packed<T>*)malloc(sizeof(Packed<T>) * (call.n_weights + 1));
            ++layers;
            if (!weights[i]) return GENERATE_NO_MEMORY;
            for (int64_t k = 0; k < call.n_weights; ++k) {
                const WeightCode& w = call.weights[k];
                if (!w.packed) return GENERATE_BAD;
                weights[i][k] = {(const T*)w.base, nullptr, w.row_stride, w.column_stride, w.K, w.N, true};
            }
            const int64_t most = g.batch < BLOCK ? g.batch : BLOCK;
            if (!crews[i].make(call, weights[i], most, false, g.batch == 1 ? g.threads : 1)) return GENERATE_NO_MEMORY;
        }
        return calls[layers - 1].states[0].width == g.width ? 0 : GENERATE_BAD;
    }

    void step() {
        for (int64_t i = 0; i < layers; ++i) {
            Lane<T>& lane = *crews[i].lanes[0];
            for (int64_t row = 0; row < calls[i].batch; row += BLOCK) {
                lane.seat(row, row + BLOCK < calls[i].batch ? row + BLOCK : calls[i].batch);
                lane.forward();
            }
        }
    }

    // The logits of the output that the last layer has left.
    void head(const Generation& g) {
        const T* h = (const T*)calls[layers - 1].states[0].final;
        linear<T>(g.batch, h, g.width, g.width, (const T*)g.head, g.vocabulary, (const T*)g.bias, (T*)g.logits, g.vocabulary, (int)g.threads);
    }
};

template <class T> int generate(int64_t* words, int64_t count) {
    if (count < GENERATE_HEADER) return GENERATE_BAD;
    Generation g;
    static_assert(sizeof(Generation) == 22 * sizeof(int64_t), "the words that Python writes");
    memcpy(&g, words, sizeof g);
    if (count != GENERATE_HEADER + 2 * g.layers || g.batch < 1 || g.vocabulary < 1 || g.width < 1 || g.count < 0) return GENERATE_BAD;
    if (!g.head || !g.logits || !g.token || !g.running || !g.out) return GENERATE_BAD;
    Stack<T> stack;
    const int wrong = stack.make(words + GENERATE_HEADER, g);
    if (wrong) return wrong;
    int64_t* token = (int64_t*)g.token;
    for (int64_t b = 0; b < g.batch; ++b)
        if (g.pending && (token[b] < 0 || token[b] >= g.vocabulary)) return GENERATE_BAD;
    uint8_t* running = (uint8_t*)g.running;
    void* scratch = malloc(draw_scratch_size(g.vocabulary));
    if (!scratch) return GENERATE_NO_MEMORY;
    int answer = DRAWN;
    int64_t made = 0;
    bool any = true;
    for (; made < g.count && any && answer == DRAWN; ++made) {
        if (made || g.pending) {
            stack.step();
            stack.head(g);
        }
        answer = draw<T>((const T*)g.logits, g.batch, g.vocabulary, g.vocabulary, g.sampling, 0, g.position + made, token, scratch);
        any = false;
        int64_t* out = (int64_t*)g.out + made * g.batch;
        for (int64_t b = 0; b < g.batch; ++b) {
            out[b] = running[b] ? token[b] : -1;
            running[b] = running[b] && token[b] != g.stop;
            any = any || running[b];
        }
    }
    free(scratch);
    words[21] = made;
    return answer;
}

}  // namespace RR_ISA
}  // namespace rr
