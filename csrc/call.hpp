// What Python passes for one scan: a list of 64-bit words, and the code of the step, a list of 32-bit words.
//
// code.py and native.py write them; `Call::read` checks every number that is used as an index or a size before any
// pointer is followed, so that a mistake there is an error here and not a wild read.
#pragma once

#include <cstdint>
#include <cstring>

#include "interpret.hpp"

namespace rr {
namespace RR_ISA {

enum Status : int { FINE = 0, BAD_CALL = 1, NO_MEMORY = 2 };
enum Kind : int32_t { TILE, LANDING, ROW, SERIES, BATCH, VECTOR, CONST, STATE, X, CARRY_IN, CARRY_OUT, TOTAL };
constexpr int MOST_CONSTANTS = 256, MOST_ROWS = 1024;
constexpr int64_t MOST_SIZE = (int64_t)1 << 31, MOST_THREADS = 1 << 16;  // so that no product of two sizes overflows
constexpr int64_t HEADER = 24, CODE_HEADER = 16;

struct SlotCode { int32_t kind, index, width, column; };
struct SegmentCode { int32_t width, row_operation, n_row_operations, product, n_products, instruction, n_instructions; };
struct RowOperation { int32_t op, in, out; };
struct ProductCode { int32_t term, n_terms, start, out; };
struct Term { int32_t operand, weight; };
struct Projection { int32_t weight, bias, column; };
struct ConstantCode { int32_t half[2]; };  // of a double, which may not lie on its own border
struct SumCode { int32_t kind, array, column, n, operand, m, out; };  // operand -1: x
enum SumKind : int32_t { OF_SERIES, OF_PRODUCTS, OF_TOTALS };            // the last: of what each row has added up itself

struct ArrayCode { int64_t base, stride, rows, width; };
struct WeightCode { int64_t base, row_stride, column_stride, K, N, packed; };
struct State { int64_t initial, initial_row, width, after, final, final_gradient, initial_gradient; };
struct Override { int64_t state, mask, mask_step, mask_row, value, value_step, value_row, gradient, gradient_step, gradient_row; };

// The step, for every call with the same widths.
struct Code {
    int32_t n_slots, n_segments, n_row_operations, n_products, n_terms, n_instructions, n_projections, n_constants;
    int32_t tiles, landings, n_rows, x_width, n_sums, n_input_terms, n_results, n_padded;
    const SlotCode* slots;
    const SegmentCode* segments;
    const RowOperation* row_operations;
    const ProductCode* products;
    const Term* terms;
    const Instruction* instructions;
    const Projection* projections;
    const int32_t* row_widths;
    const SumCode* sums;
    const Term* input_terms;
    const int32_t* results;  // for each state: whether the adjoint leaves a gradient for it
    const int32_t* padded;   // arrays that are zero at padding
    const ConstantCode* constants;

    double constant(int i) const {
        double value;
        memcpy(&value, constants[i].half, sizeof value);
        return value;
    }

    bool read(const int32_t* words, int64_t count) {
        if (count < CODE_HEADER) return false;
        memcpy(&n_slots, words, CODE_HEADER * sizeof(int32_t));
        for (int i = 0; i < CODE_HEADER; ++i)
            if (words[i] < 0) return false;
        if (n_constants > MOST_CONSTANTS || n_rows > MOST_ROWS) return false;
        const int32_t* at = words + CODE_HEADER;
        const int32_t* end = words + count;
        return take(slots, n_slots, at, end) && take(segments, n_segments, at, end) &&
               take(row_operations, n_row_operations, at, end) && take(products, n_products, at, end) &&
               take(terms, n_terms, at, end) && take(instructions, n_instructions, at, end) &&
               take(projections, n_projections, at, end) && take(row_widths, n_rows, at, end) &&
               take(sums, n_sums, at, end) && take(input_terms, n_input_terms, at, end) &&
               take(results, n_results, at, end) && take(padded, n_padded, at, end) &&
               take(constants, n_constants, at, end) && at == end;
    }

    template <class P> static bool take(const P*& to, int64_t n, const int32_t*& at, const int32_t* end) {
        const int64_t words = n * (int64_t)(sizeof(P) / sizeof(int32_t));
        to = (const P*)at;
        if (words > end - at) return false;
        at += words;
        return true;
    }
};

struct Call {
    int64_t steps, batch, input, reverse, threads, x, x_step, x_row, n_states, n_overrides, n_arrays, n_weights;
    int64_t arriving, arriving_step, arriving_row, x_gradient;
    const int64_t* tokens;   // [T, B]: x is a table of projected rows, and these say which; or none
    const int64_t* lengths;  // [B], or none: all are `steps`
    Code code;
    const ArrayCode* arrays;
    const WeightCode* weights;
    const State* states;
    const Override* overrides;

    int64_t length(int64_t b) const { return lengths ? lengths[b] : steps; }
    int64_t step_at(int64_t at, int64_t count) const { return reverse ? count - 1 - at : at; }
    int64_t border(int64_t t) const { return reverse ? t + 1 : t; }

    // The first row of step t. Of a state's values that nothing reads later but the next step, two steps are kept by turns.
    int64_t row_at(const ArrayCode& array, int64_t t) const { return (array.rows < steps * batch ? t & 1 : t) * batch; }

    // The override that acts on a state at the border before step t of row b; of several the last one.
    const Override* overriding(int64_t s, int64_t t, int64_t b, int64_t length) const {
        const int64_t at = border(t);
        if (!n_overrides || at >= length) return nullptr;
        for (int64_t i = n_overrides - 1; i >= 0; --i) {
            const Override& o = overrides[i];
            if (o.state == s && ((const uint8_t*)o.mask)[at * o.mask_step + b * o.mask_row]) return &o;
        }
        return nullptr;
    }

    int read(const int64_t* words, int64_t count, bool backward = false) {
        if (count < HEADER) return BAD_CALL;
        memcpy(&steps, words, 16 * sizeof(int64_t));
        tokens = (const int64_t*)words[16];
        lengths = (const int64_t*)words[17];
        const int32_t* code_words = (const int32_t*)words[19];
        for (int i = 0; i < 5; ++i)
            if (words[i] < 0 || words[i] > MOST_SIZE) return BAD_CALL;
        if (threads > MOST_THREADS || n_states < 1) return BAD_CALL;
        for (int i = 8; i < 12; ++i)
            if (words[i] < 0 || words[i] > 100000) return BAD_CALL;
        if (!code_words || !code.read(code_words, words[20])) return BAD_CALL;
        const int64_t expected = HEADER + n_arrays * 4 + n_weights * 6 + n_states * 7 + n_overrides * 10;
        if (count != expected) return BAD_CALL;
        const int64_t* at = words + HEADER;
        arrays = (const ArrayCode*)at;
        at += n_arrays * 4;
        weights = (const WeightCode*)at;
        at += n_weights * 6;
        states = (const State*)at;
        at += n_states * 7;
        overrides = (const Override*)at;
        return fits(backward) ? FINE : BAD_CALL;
    }

  private:
    static bool in(int64_t index, int64_t count) { return index >= 0 && index < count; }
    static bool piece(int64_t first, int64_t n, int64_t count) { return first >= 0 && n >= 0 && first + n <= count; }

    bool fits(bool backward) const {
        for (int64_t i = 0; i < n_arrays; ++i)
            if (!arrays[i].base || arrays[i].width < 0 || arrays[i].stride < 0) return false;
        for (int64_t i = 0; i < n_weights; ++i) {
            const WeightCode& w = weights[i];
            if (!w.base || w.K < 0 || w.N < 0 || w.K > MOST_SIZE || w.N > MOST_SIZE) return false;
        }
        for (int64_t s = 0; s < n_states; ++s) {
            const State& state = states[s];
            if (!state.initial || !in(state.after, n_arrays) || !series(state.after, 0, state.width, !backward)) return false;
            if (!(backward ? state.initial_gradient : state.final)) return false;
        }
        for (int64_t i = 0; i < n_overrides; ++i)
            if (!in(overrides[i].state, n_states) || !overrides[i].mask || !overrides[i].value) return false;
        if (code.n_results != (backward ? n_states : 0)) return false;
        return slots_fit(backward) && segments_fit() && ends_fit() && lengths_fit();
    }

    // Asked last: how many lengths there are is known once the batch fits the arrays.
    bool lengths_fit() const {
        for (int64_t b = 0; lengths && b < batch; ++b)
            if (lengths[b] < 0 || lengths[b] > steps) return false;
        return true;
    }

    bool series(int64_t array, int64_t column, int64_t width, bool by_turns = false) const {
        const ArrayCode& a = arrays[array];
        return a.rows >= (by_turns && steps > 2 ? 2 : steps) * batch && column >= 0 && width >= 0 && width <= MOST_SIZE && column + width <= a.width &&
               a.width <= a.stride;
    }

    bool total(int64_t array, int64_t column, int64_t width) const {
        const ArrayCode& a = arrays[array];
        return a.rows >= batch && column >= 0 && width >= 0 && width <= MOST_SIZE && column + width <= a.width && a.width <= a.stride;
    }

    bool slots_fit(bool backward) const {
        for (int i = 0; i < code.n_slots; ++i) {
            const SlotCode& s = code.slots[i];
            if (s.width < 0 || s.column < 0) return false;
            const int64_t end = (int64_t)s.column + s.width;
            bool good = false;
            switch (s.kind) {
                case TILE: good = in(s.index, code.tiles); break;
                case LANDING: good = in(s.index, code.landings); break;
                case ROW: good = in(s.index, code.n_rows) && s.width <= code.row_widths[s.index]; break;
                case SERIES: good = in(s.index, n_arrays) && series(s.index, s.column, s.width, !backward); break;
                case BATCH: good = in(s.index, n_arrays) && arrays[s.index].rows >= batch && end <= arrays[s.index].width; break;
                case VECTOR: good = in(s.index, n_arrays) && arrays[s.index].rows >= 1 && end <= arrays[s.index].width; break;
                case CONST: good = in(s.index, code.n_constants); break;
                case X: good = !backward && (code.n_projections || tokens) && end <= code.x_width; break;
                case STATE: good = in(s.index, n_states) && end <= states[s.index].width; break;
                case TOTAL: good = backward && in(s.index, n_arrays) && total(s.index, s.column, s.width); break;
                case CARRY_IN:
                case CARRY_OUT: good = backward && in(s.index, n_states) && end <= states[s.index].width; break;
                default: good = false;
            }
            if (!good) return false;
        }
        return true;
    }

    bool slot_at(int64_t i, int64_t width) const {
        return in(i, code.n_slots) && (code.slots[i].kind == CONST || code.slots[i].width >= width);
    }

    bool terms_fit(int64_t first, int64_t n, int64_t width, const Term* terms, int64_t count) const {
        if (!piece(first, n, count)) return false;
        for (int64_t k = first; k < first + n; ++k) {
            if (!in(terms[k].operand, code.n_slots) || !in(terms[k].weight, n_weights)) return false;
            const SlotCode& s = code.slots[terms[k].operand];
            const WeightCode& w = weights[terms[k].weight];
            if (w.K > s.width || w.N != width || (s.kind != ROW && s.kind != SERIES && s.kind != STATE && s.kind != CARRY_IN)) return false;
        }
        return true;
    }

    bool segments_fit() const {
        int64_t instructions = 0;  // each belongs to one segment
        for (int g = 0; g < code.n_segments; ++g) {
            const SegmentCode& s = code.segments[g];
            if (s.width < 0 || !piece(s.row_operation, s.n_row_operations, code.n_row_operations) ||
                !piece(s.product, s.n_products, code.n_products) || !piece(s.instruction, s.n_instructions, code.n_instructions))
                return false;
            if (s.instruction != instructions) return false;
            instructions += s.n_instructions;
            for (int i = 0; i < s.n_row_operations; ++i) {
                const RowOperation& op = code.row_operations[s.row_operation + i];
                if ((op.op != OP_MEAN && op.op != OP_RSTD) || !slot_at(op.in, s.width) || !slot_at(op.out, s.width)) return false;
                const int32_t kind = code.slots[op.in].kind, to = code.slots[op.out].kind;
                if (kind == TILE || kind == LANDING || kind == CONST || (to != ROW && to != SERIES && to != LANDING)) return false;
            }
            for (int i = 0; i < s.n_products; ++i) {
                const ProductCode& p = code.products[s.product + i];
                if (p.n_terms < 1 || !slot_at(p.out, s.width) || !writable(p.out) || code.slots[p.out].kind == TILE) return false;
                if (p.start != -1 && !slot_at(p.start, s.width)) return false;
                if (p.start != -1) {
                    const int32_t kind = code.slots[p.start].kind;
                    if (kind == TILE || kind == LANDING || kind == CONST) return false;
                }
                if (!terms_fit(p.term, p.n_terms, s.width, code.terms, code.n_terms)) return false;
            }
            for (int i = 0; i < s.n_instructions; ++i) {
                const Instruction& in_ = code.instructions[s.instruction + i];
                if (in_.op < 0 || in_.op > OP_FMA || !slot_at(in_.a, s.width) || !slot_at(in_.out, s.width) || !writable(in_.out)) return false;
                if (inputs_of(in_.op) > 1 && !slot_at(in_.b, s.width)) return false;
                if (inputs_of(in_.op) > 2 && !slot_at(in_.c, s.width)) return false;
                if ((in_.b != -1 && !in(in_.b, code.n_slots)) || (in_.c != -1 && !in(in_.c, code.n_slots))) return false;
            }
        }
        return true;
    }

    bool writable(int64_t slot) const {
        const int32_t kind = code.slots[slot].kind;
        return kind == TILE || kind == LANDING || kind == ROW || kind == SERIES || kind == CARRY_OUT || kind == TOTAL;
    }

    static int inputs_of(int32_t op) {
        if (op == OP_FMA) return 3;
        return (op >= OP_ADD && op <= OP_MINIMUM) || op == OP_SIGMOID_GRAD || op == OP_TANH_GRAD ? 2 : 1;
    }

    bool ends_fit() const {
        for (int i = 0; i < code.n_projections; ++i) {
            const Projection& p = code.projections[i];
            if (!in(p.weight, n_weights) || weights[p.weight].K != input || p.column < 0) return false;
            if (p.column + weights[p.weight].N > code.x_width) return false;
            if (p.bias != -1 && (!in(p.bias, n_arrays) || arrays[p.bias].width < weights[p.weight].N)) return false;
        }
        if ((code.n_projections || tokens) && !x && steps && batch && input) return false;
        for (int i = 0; i < code.n_padded; ++i)
            if (!in(code.padded[i], n_arrays) || !series(code.padded[i], 0, arrays[code.padded[i]].width)) return false;
        for (int i = 0; i < code.n_sums; ++i) {
            const SumCode& s = code.sums[i];
            if (!in(s.array, n_arrays) || !in(s.out, n_arrays) || s.n < 0 || !in(s.kind, 3)) return false;
            if (!(s.kind == OF_TOTALS ? total(s.array, s.column, s.n) : series(s.array, s.column, s.n))) return false;
            if (s.kind != OF_PRODUCTS) {
                if (arrays[s.out].width < s.n || arrays[s.out].rows < 1) return false;
                continue;
            }
            if (s.m < 0 || arrays[s.out].width < s.m || arrays[s.out].rows < s.n) return false;
            if (s.operand == -1 ? s.m != input || (!x && steps && batch && input) : !in(s.operand, code.n_slots)) return false;
            if (s.operand >= 0) {
                const SlotCode& slot = code.slots[s.operand];
                if ((slot.kind != SERIES && slot.kind != STATE) || slot.width < s.m) return false;
            }
        }
        if (!terms_fit(0, code.n_input_terms, input, code.input_terms, code.n_input_terms)) return false;
        for (int i = 0; i < code.n_input_terms; ++i) {
            const int32_t kind = code.slots[code.input_terms[i].operand].kind;
            if (kind != SERIES && kind != STATE) return false;
        }
        return true;
    }
};

}  // namespace RR_ISA
}  // namespace rr
