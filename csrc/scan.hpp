// A recurrence over all steps of a batch, forward and backward, for any program: the native engine's loop.
//
// The code that it interprets is made by segments.py and code.py: a step is a list of segments, each of which does the
// products of a block of columns and then everything elementwise on the tile in which they landed. Rows of the batch do
// not know of each other, so every thread takes its rows through all steps, with no barrier inside a sequence. A row
// of a value is found by pointer: the state before a step may be the initial one, the step's before, or a value that
// overrides it, and nothing is copied.
//
// Rows are sorted by length within a thread, so those that are active at a step come first; padding is never read.
#pragma once

#include <stdlib.h>

#include <new>

#include "call.hpp"
#include "interpret.hpp"
#include "memory.hpp"
#include "product.hpp"
#include "simd.hpp"
#include "threads.hpp"

namespace rr {
namespace RR_ISA {

constexpr int BLOCK = 64;    // rows that one thread takes through a sequence at once
constexpr int SUB = 12;      // rows of a tile
constexpr int WIDE = 512;    // columns of a tile of one row
constexpr int NARROW = 64;   // columns of a tile of more rows: a multiple of every NR
constexpr int AHEAD = 128;   // rows of x that are projected at once
template <class T> constexpr int64_t LINE = 64 / (int64_t)sizeof(T);  // elements of a cache's line
constexpr int LOT = 64;      // rows of the input's gradient at once
constexpr int TOGETHER = 4;  // gradients of weights that are computed together, at most, and
constexpr int64_t SHARING = 2560;  // how many columns they have in all
constexpr int64_t SHARED = 768 << 10;  // bytes of weights from which threads share the columns of a batch of one row

// Memory of one call or one thread, taken in pieces; `fail` where there was none.
struct Arena {
    char* base = nullptr;
    size_t used = 0, size = 0;
    bool make(size_t bytes) {
        size = bytes + 4096;
        base = (char*)take_memory(size);
        return base != nullptr;
    }
    template <class P> P* take(size_t count) {
        P* p = (P*)(base + used);
        used += (count * sizeof(P) + 63) & ~(size_t)63;
        return p;
    }
    ~Arena() { give_memory(base); }
};

// The bytes that `take` will need for so many.
template <class P> constexpr size_t room(size_t count) { return (count * sizeof(P) + 63) & ~(size_t)63; }

// A weight as the loop reads it: packed, or, for very few rows, as it lies.
template <class T> struct Packed {
    const T* panels;
    const T* raw;
    int64_t row_stride, column_stride, K, N;
    bool far;  // the weights of the call are too many for the second cache
};

template <class T> struct Pass {
    Call call;  // what was passed
    Packed<T>* weights;
    int parts;
    int64_t block;    // rows of a part's block at most
    int64_t threads;  // all that the caller allows
    int status;
};

// columns [n0, n0 + n) of start + a @ weight, for rows given by pointer; c points at column n0, start at column n0.
template <class T>
RR_INLINE void product(
    int64_t rows, const T* const* a, const Packed<T>& w, int64_t n0, int64_t n, const T* const* start, T* const* c) {
    if (w.panels) {
        multiply<T>(rows, a, w.K, w.panels + (n0 / NR<T>)*w.K * NR<T>, n, start, c, w.far);
    } else {
        for (int64_t r = 0; r < rows; ++r)
            multiply_row_unpacked<T>(
                a[r], w.K, w.raw + n0 * w.column_stride, w.row_stride, w.column_stride, n, start ? start[r] : nullptr, c[r]);
    }
}

template <class T> int pack_part(Pass<T>& pass, int part) {
    for (int64_t i = 0; i < pass.call.n_weights; ++i) {
        const Packed<T>& w = pass.weights[i];
        if (!w.panels || pass.call.weights[i].packed) continue;
        const int64_t panels = (w.N + NR<T> - 1) / NR<T>;
        const int64_t first = panels * part / pass.parts, last = panels * (part + 1) / pass.parts;
        if (first == last) continue;
        const int64_t n0 = first * NR<T>, n1 = last * NR<T> < w.N ? last * NR<T> : w.N;
        pack<T>(w.raw + n0 * w.column_stride, w.row_stride, w.column_stride, w.K, n1 - n0, (T*)w.panels + n0 * w.K);
    }
    return 0;
}

// One thread's block of rows on its way through the steps.
template <class T> struct Lane {
    const Call& call;
    const Packed<T>* weights;
    Arena arena;
    int64_t rows = 0, active = 0;
    int64_t* batch;     // [rows] which row of the batch
    int64_t* length;    // [rows] descending
    T** table;          // [slots][BLOCK] where each row of each slot starts
    Slot<T>* slots;     // for the interpreter
    T** last;           // [states][BLOCK] the state that stands
    T** next;           // [states][BLOCK] backward: where the gradient of the state before goes
    const T** shifted;  // [BLOCK]
    T** landing;        // [BLOCK]
    const T** x_rows;   // [AHEAD + BLOCK]
    const T** x_start;
    T** x_out;
    T* x_chunk;
    int64_t* x_at;      // [AHEAD + 1] the first row of the chunk for each of its steps
    int64_t tile_columns;
    int64_t x_stride;   // of the chunk
    int32_t* used;      // the slots that each segment's instructions name, one segment after the other
    int32_t* used_from;
    T** rows_of;        // the memory of each row that crosses segments
    // Lanes that compute other columns of the same rows, this one the first of them: they have their own tiles, and the
    // rows of the first.
    Lane** mates = nullptr;
    int n_mates = 1;
    int64_t filled = 0;  // rows of the chunk of x
    int phase = 0;       // the segment that the mates are at, -1: the projection

    explicit Lane(const Call& c, const Packed<T>* w) : call(c), weights(w) {}

    T** row_pointers(int slot) { return table + (int64_t)slot * BLOCK; }

    bool make(int64_t most, bool backward, const Lane* first = nullptr) {
        const Code& code = call.code;
        const int64_t ahead = call.steps < AHEAD / most ? call.steps * most : AHEAD > most ? AHEAD : most;
        tile_columns = most == 1 ? WIDE : NARROW;
        const int64_t tile_rows = most < SUB ? most : SUB;
        // Rows that lie a multiple of a kilobyte apart would share a few lines of the caches.
        x_stride = (code.x_width + LINE<T> - 1) / LINE<T> * LINE<T>;
        if (x_stride % (16 * LINE<T>) == 0) x_stride += LINE<T>;
        size_t bytes = 0;
        bytes += 2 * room<int64_t>(BLOCK) + room<T*>((size_t)code.n_slots * BLOCK) + room<Slot<T>>(code.n_slots);
        bytes += 2 * room<T*>(call.n_states * BLOCK) + 2 * room<T*>(BLOCK);
        bytes += 3 * room<T*>(AHEAD + BLOCK) + room<int64_t>(AHEAD + 2);
        bytes += room<T>((size_t)ahead * x_stride);
        bytes += room<T>((size_t)code.tiles * tile_rows * tile_columns);
        bytes += room<T>((size_t)code.landings * most * tile_columns);
        bytes += code.n_constants * room<T>(tile_columns);
        bytes += room<T*>(code.n_rows);
        for (int i = 0; i < code.n_rows; ++i) bytes += room<T>((size_t)code.row_widths[i] * most);
        bytes += room<int32_t>(code.n_instructions * 4 + 1) + room<int32_t>(code.n_segments + 1);
        if (backward)
            for (int64_t s = 0; s < call.n_states; ++s) bytes += 2 * room<T>((size_t)call.states[s].width * most);
        if (!arena.make(bytes)) return false;
        batch = arena.take<int64_t>(BLOCK);
        length = arena.take<int64_t>(BLOCK);
        table = arena.take<T*>((size_t)code.n_slots * BLOCK);
        slots = arena.take<Slot<T>>(code.n_slots);
        last = arena.take<T*>(call.n_states * BLOCK);
        next = arena.take<T*>(call.n_states * BLOCK);
        shifted = arena.take<const T*>(BLOCK);
        landing = arena.take<T*>(BLOCK);
        x_rows = arena.take<const T*>(AHEAD + BLOCK);
        x_start = arena.take<const T*>(AHEAD + BLOCK);
        x_out = arena.take<T*>(AHEAD + BLOCK);
        x_at = arena.take<int64_t>(AHEAD + 2);
        x_chunk = arena.take<T>((size_t)ahead * x_stride);
        T* tiles = arena.take<T>((size_t)code.tiles * tile_rows * tile_columns);
        T* landings = arena.take<T>((size_t)code.landings * most * tile_columns);
        T* constants[MOST_CONSTANTS];
        for (int i = 0; i < code.n_constants; ++i) {
            constants[i] = arena.take<T>(tile_columns);
            for (int64_t j = 0; j < tile_columns; ++j) constants[i][j] = (T)code.constant(i);
        }
        rows_of = arena.take<T*>(code.n_rows);
        for (int i = 0; i < code.n_rows; ++i)
            rows_of[i] = first ? first->rows_of[i] : arena.take<T>((size_t)code.row_widths[i] * most);
        if (first) {
            x_chunk = first->x_chunk;
            x_rows = first->x_rows;
        }
        used = arena.take<int32_t>(code.n_instructions * 4 + 1);
        used_from = arena.take<int32_t>(code.n_segments + 1);
        if (backward)
            for (int64_t s = 0; s < call.n_states; ++s) {
                const int64_t n = call.states[s].width;
                T* one = arena.take<T>((size_t)n * most);
                T* other = arena.take<T>((size_t)n * most);
                for (int64_t r = 0; r < most; ++r) {
                    last[s * BLOCK + r] = one + r * n;
                    next[s * BLOCK + r] = other + r * n;
                }
            }
        for (int i = 0; i < code.n_slots; ++i) {
            const SlotCode& slot = code.slots[i];
            T** to = row_pointers(i);
            for (int64_t r = 0; r < most; ++r) switch (slot.kind) {
                    case TILE: to[r] = tiles + ((int64_t)slot.index * tile_rows + r % tile_rows) * tile_columns; break;
                    case LANDING: to[r] = landings + ((int64_t)slot.index * most + r) * tile_columns; break;
                    case ROW: to[r] = rows_of[slot.index] + r * code.row_widths[slot.index]; break;
                    case VECTOR: to[r] = (T*)call.arrays[slot.index].base + slot.column; break;
                    case CONST: to[r] = constants[slot.index]; break;
                    default: to[r] = nullptr;
                }
        }
        for (int i = 0; first && i < code.n_row_operations; ++i) {  // the first one's, since it does the row operations
            const int out = code.row_operations[i].out;
            if (code.slots[out].kind == LANDING) memcpy(row_pointers(out), ((Lane*)first)->row_pointers(out), most * sizeof(T*));
        }
        int count = 0;
        for (int g = 0; g < code.n_segments; ++g) {
            const SegmentCode& segment = code.segments[g];
            used_from[g] = count;
            for (int i = 0; i < segment.n_instructions; ++i) {
                const Instruction& in = code.instructions[segment.instruction + i];
                const int32_t named[4] = {in.a, in.b, in.c, in.out};
                for (int k = 0; k < 4; ++k) {
                    bool known = named[k] < 0;
                    for (int u = used_from[g]; u < count && !known; ++u) known = used[u] == named[k];
                    if (!known) used[count++] = named[k];
                }
            }
        }
        used_from[code.n_segments] = count;
        return true;
    }

    // Take rows [first, last) of the batch, longest first (equal ones in their order).
    void seat(int64_t first, int64_t last_row) {
        rows = 0;
        for (int64_t b = first; b < last_row; ++b) {
            const int64_t n = call.length(b);
            int64_t place = rows++;
            for (; place > 0 && length[place - 1] < n; --place) {
                length[place] = length[place - 1];
                batch[place] = batch[place - 1];
            }
            length[place] = n;
            batch[place] = b;
        }
        for (int i = 0; i < call.code.n_slots; ++i) {
            const SlotCode& slot = call.code.slots[i];
            if (slot.kind != BATCH && slot.kind != TOTAL) continue;
            const ArrayCode& array = call.arrays[slot.index];
            for (int64_t r = 0; r < rows; ++r) row_pointers(i)[r] = (T*)array.base + batch[r] * array.stride + slot.column;
        }
    }

    void activate(int64_t t) {
        active = rows;
        while (active > 0 && length[active - 1] <= t) --active;
    }

    // The state s before step t of the row at place r; forward: what stands unless something overrides it.
    T* before(int64_t s, int64_t t, int64_t r, T* standing) const {
        const Override* o = call.overriding(s, t, batch[r], length[r]);
        return o ? (T*)o->value + call.border(t) * o->value_step + batch[r] * o->value_row : standing;
    }

    T* after(int64_t s, int64_t t, int64_t b) const {
        const ArrayCode& array = call.arrays[call.states[s].after];
        return (T*)array.base + (call.row_at(array, t) + b) * array.stride;
    }

    T* initial(int64_t s, int64_t b) const { return (T*)call.states[s].initial + b * call.states[s].initial_row; }

    // Everything that moves with t, but STATE and CARRY_*, which the caller knows.
    void move(int64_t t) {
        for (int i = 0; i < call.code.n_slots; ++i) {
            const SlotCode& slot = call.code.slots[i];
            T** to = row_pointers(i);
            if (slot.kind == SERIES) {
                const ArrayCode& array = call.arrays[slot.index];
                T* base = (T*)array.base + call.row_at(array, t) * array.stride + slot.column;
                for (int64_t r = 0; r < active; ++r) to[r] = base + batch[r] * array.stride;
            }
        }
    }

    void run_step() {
        const Code& code = call.code;
        for (int g = 0; g < code.n_segments; ++g) {
            const SegmentCode& segment = code.segments[g];
            for (int i = 0; i < segment.n_row_operations; ++i) {
                const RowOperation& op = code.row_operations[segment.row_operation + i];
                for (int64_t r = 0; r < active; ++r) {
                    const T* v = row_pointers(op.in)[r];
                    T* out = row_pointers(op.out)[r];
                    const bool tile = code.slots[op.out].kind == LANDING && segment.width > tile_columns;
                    const int64_t columns = tile ? tile_columns : segment.width;
                    if (op.op == OP_MEAN)
                        row_mean<T>(v, segment.width, out, columns);
                    else
                        row_rstd<T>(v, segment.width, out, columns);
                }
            }
            if (n_mates > 1 && segment_bytes(g) >= SHARED)
                share(g);
            else
                run_columns(g, 0, segment.width);
        }
    }

    // Columns [from, to) of a segment.
    void run_columns(int g, int64_t from, int64_t to) {
        const Code& code = call.code;
        const SegmentCode& segment = code.segments[g];
        for (int64_t j = from; j < to; j += tile_columns) {
            const int64_t columns = to - j < tile_columns ? to - j : tile_columns;
            for (int i = 0; i < segment.n_products; ++i) land(code.products[segment.product + i], j, columns);
            if (segment.n_instructions) interpret_block(g, j, (int)columns);
        }
    }

    int64_t segment_bytes(int g) const {
        const SegmentCode& segment = call.code.segments[g];
        int64_t found = 0;
        for (int i = 0; i < segment.n_products; ++i) {
            const ProductCode& p = call.code.products[segment.product + i];
            for (int k = 0; k < p.n_terms; ++k) {
                const Packed<T>& w = weights[call.code.terms[p.term + k].weight];
                found += w.K * w.N * (int64_t)sizeof(T);
            }
        }
        return found;
    }

    // All mates do their columns of a segment, or of the projection where `what` is -1.
    void share(int what) {
        phase = what;
        for (int m = 1; m < n_mates; ++m) {
            Lane& mate = *mates[m];
            mate.active = active;
            mate.filled = filled;
            for (int i = 0; i < call.code.n_slots; ++i) {
                const int kind = call.code.slots[i].kind;
                if (kind == SERIES || kind == STATE || kind == X || kind == BATCH || kind == TOTAL || kind == CARRY_IN || kind == CARRY_OUT)
                    memcpy(mate.row_pointers(i), row_pointers(i), active * sizeof(T*));
            }
        }
        parallel(n_mates, share_work, this);
    }

    static void share_work(void* context, int part) {
        Lane& first = *(Lane*)context;
        Lane& mate = *first.mates[part];
        if (first.phase < 0) return mate.project_columns(part, first.n_mates);
        const int64_t width = first.call.code.segments[first.phase].width;
        mate.run_columns(first.phase, border_of(width, part, first.n_mates), border_of(width, part + 1, first.n_mates));
    }

    static int64_t border_of(int64_t n, int part, int parts) {
        const int64_t at = (n * part / parts + NARROW - 1) / NARROW * NARROW;
        return at > n || part == parts ? n : at;
    }

    void land(const ProductCode& p, int64_t j, int64_t columns) {
        const Code& code = call.code;
        const bool in_tile = code.slots[p.out].kind == LANDING;
        T** out = row_pointers(p.out);
        for (int64_t r = 0; r < active; ++r) landing[r] = in_tile ? out[r] : out[r] + j;
        const T* const* start = nullptr;
        if (p.start >= 0) {
            for (int64_t r = 0; r < active; ++r) shifted[r] = row_pointers(p.start)[r] + j;
            start = shifted;
            if (active > 1)  // the next tile's, which lie too far apart for the processor to foresee
                for (int64_t r = 0; r < active; ++r)
                    for (int64_t n = 0; n < NARROW; n += LINE<T>) __builtin_prefetch(shifted[r] + NARROW + n, 0, 2);
        }
        for (int k = 0; k < p.n_terms; ++k) {
            const Term& term = code.terms[p.term + k];
            product<T>(active, row_pointers(term.operand), weights[term.weight], j, columns, start, landing);
            start = (const T* const*)landing;
        }
    }

    void interpret_block(int g, int64_t j, int columns) {
        const Code& code = call.code;
        const SegmentCode& segment = code.segments[g];
        for (int64_t r = 0; r < active; r += SUB) {
            for (int u = used_from[g]; u < used_from[g + 1]; ++u) {
                const int i = used[u];
                const int kind = code.slots[i].kind;
                slots[i].rows = row_pointers(i) + r;
                slots[i].shift = kind == TILE || kind == LANDING || kind == CONST ? 0 : j;
            }
            const int64_t sub = active - r < SUB ? active - r : SUB;
            interpret<T>(code.instructions + segment.instruction, segment.n_instructions, slots, (int)sub, columns);
        }
    }

    // Project x for steps from `at` on (in the order of the scan) as far as the chunk holds; returns how many.
    int64_t project(int64_t at, int64_t steps) {
        const Code& code = call.code;
        int64_t count = 0;
        filled = 0;
        for (; at + count < steps && count < AHEAD; ++count) {
            const int64_t t = call.step_at(at + count, steps);
            activate(t);
            if (count && filled + active > AHEAD) break;
            x_at[count] = filled;
            for (int64_t r = 0; r < active; ++r) x_rows[filled + r] = (const T*)call.x + t * call.x_step + batch[r] * call.x_row;
            filled += active;
        }
        if (n_mates > 1 && code.x_width * call.input * (int64_t)sizeof(T) >= SHARED)
            share(-1);
        else
            project_columns(0, 1);
        return count;
    }

    // One part of the columns of every W.k x + b.k.
    void project_columns(int part, int parts) {
        const Code& code = call.code;
        for (int i = 0; i < code.n_projections; ++i) {
            const Projection& p = code.projections[i];
            const int64_t N = weights[p.weight].N, n0 = border_of(N, part, parts), n1 = border_of(N, part + 1, parts);
            if (n0 == n1) continue;
            for (int64_t r = 0; r < filled; ++r) x_out[r] = x_chunk + r * x_stride + p.column + n0;
            const T* const* start = nullptr;
            if (p.bias >= 0) {
                for (int64_t r = 0; r < filled; ++r) x_start[r] = (const T*)call.arrays[p.bias].base + n0;
                start = x_start;
            }
            product<T>(filled, x_rows, weights[p.weight], n0, n1 - n0, start, x_out);
        }
    }

    void forward() {
        const Code& code = call.code;
        const int64_t steps = rows ? length[0] : 0;
        for (int64_t s = 0; s < call.n_states; ++s)
            for (int64_t r = 0; r < rows; ++r) last[s * BLOCK + r] = initial(s, batch[r]);
        int64_t chunk = 0, ready = 0;  // the first step of the chunk, and the one after its last
        for (int64_t at = 0; at < steps; ++at) {
            if (at == ready && code.n_projections && !call.tokens) {
                chunk = at;
                ready = at + project(at, steps);
            }
            const int64_t t = call.step_at(at, steps);
            activate(t);
            move(t);
            for (int i = 0; i < code.n_slots; ++i) {
                const SlotCode& slot = code.slots[i];
                T** to = row_pointers(i);
                if (slot.kind == STATE) {
                    for (int64_t r = 0; r < active; ++r)
                        to[r] = before(slot.index, t, r, last[slot.index * BLOCK + r]) + slot.column;
                } else if (slot.kind == X && call.tokens) {
                    for (int64_t r = 0; r < active; ++r)
                        to[r] = (T*)call.x + call.tokens[t * call.batch + batch[r]] * call.x_row + slot.column;
                } else if (slot.kind == X) {
                    T* base = x_chunk + x_at[at - chunk] * x_stride + slot.column;
                    for (int64_t r = 0; r < active; ++r) to[r] = base + r * x_stride;
                }
            }
            run_step();
            for (int64_t s = 0; s < call.n_states; ++s)
                for (int64_t r = 0; r < active; ++r) last[s * BLOCK + r] = after(s, t, batch[r]);
        }
        for (int64_t s = 0; s < call.n_states; ++s)
            for (int64_t r = 0; r < rows; ++r) {
                const int64_t n = call.states[s].width;
                T* to = (T*)call.states[s].final + batch[r] * n;
                if (to != last[s * BLOCK + r]) memcpy(to, last[s * BLOCK + r], n * sizeof(T));  // of one step: the same
            }
        for (int i = 0; i < code.n_padded; ++i) {
            const ArrayCode& array = call.arrays[code.padded[i]];
            for (int64_t r = 0; r < rows; ++r)
                for (int64_t t = length[r]; t < call.steps; ++t)
                    memset((T*)array.base + (t * call.batch + batch[r]) * array.stride, 0, array.width * sizeof(T));
        }
    }

    void backward() {
        const Code& code = call.code;
        const int64_t steps = rows ? length[0] : 0;
        for (int64_t s = 0; s < call.n_states; ++s)
            for (int64_t r = 0; r < rows; ++r) {
                const State& state = call.states[s];
                if (state.final_gradient)
                    memcpy(last[s * BLOCK + r], (const T*)state.final_gradient + batch[r] * state.width, state.width * sizeof(T));
                else
                    memset(last[s * BLOCK + r], 0, state.width * sizeof(T));
            }
        for (int i = 0; i < code.n_sums; ++i) {
            const SumCode& sum = code.sums[i];
            if (sum.kind != OF_TOTALS) continue;
            const ArrayCode& array = call.arrays[sum.array];
            for (int64_t r = 0; r < rows; ++r) memset((T*)array.base + batch[r] * array.stride + sum.column, 0, sum.n * sizeof(T));
        }
        for (int64_t at = steps - 1; at >= 0; --at) {
            const int64_t t = call.step_at(at, steps);
            activate(t);
            move(t);
            if (call.arriving)
                for (int64_t r = 0; r < active; ++r)
                    add_row(last[r], (const T*)call.arriving + t * call.arriving_step + batch[r] * call.arriving_row, call.states[0].width);
            for (int i = 0; i < code.n_slots; ++i) {
                const SlotCode& slot = code.slots[i];
                T** to = row_pointers(i);
                for (int64_t r = 0; r < active; ++r) {
                    if (slot.kind == STATE)
                        to[r] = before(slot.index, t, r, stood(slot.index, t, r)) + slot.column;
                    else if (slot.kind == CARRY_IN)
                        to[r] = last[slot.index * BLOCK + r];
                    else if (slot.kind == CARRY_OUT)
                        to[r] = next[slot.index * BLOCK + r];
                }
            }
            run_step();
            for (int64_t s = 0; s < call.n_states; ++s)
                for (int64_t r = 0; r < active; ++r) {
                    T*& one = last[s * BLOCK + r];
                    T*& other = next[s * BLOCK + r];
                    if (!code.results[s]) memset(other, 0, call.states[s].width * sizeof(T));
                    T* gone = one;
                    one = other;
                    other = gone;
                    const Override* o = call.overriding(s, t, batch[r], length[r]);
                    if (o) {
                        if (o->gradient)
                            add_row((T*)o->gradient + call.border(t) * o->gradient_step + batch[r] * o->gradient_row, one, call.states[s].width);
                        memset(one, 0, call.states[s].width * sizeof(T));
                    }
                }
        }
        for (int64_t s = 0; s < call.n_states; ++s)
            for (int64_t r = 0; r < rows; ++r) {
                const int64_t n = call.states[s].width;
                memcpy((T*)call.states[s].initial_gradient + batch[r] * n, last[s * BLOCK + r], n * sizeof(T));
            }
    }

    // The state before step t without overrides.
    T* stood(int64_t s, int64_t t, int64_t r) const {
        if (call.reverse) return t == length[r] - 1 ? initial(s, batch[r]) : after(s, t + 1, batch[r]);
        return t == 0 ? initial(s, batch[r]) : after(s, t - 1, batch[r]);
    }

    static void add_row(T* to, const T* from, int64_t n) {
        int64_t j = 0;
        for (; j + VL<T> <= n; j += VL<T>) store<T>(to + j, load<T>(to + j) + load<T>(from + j));
        if (j < n) {
            const int part = (int)(n - j);
            store_part(to + j, load_part(to + j, part) + load_part(from + j, part), part);
        }
    }
};

// A lane with its mates: as many as there are threads, where there is but one row and its weights are many.
template <class T> struct Crew {
    static constexpr int MOST = 16;
    Lane<T>* lanes[MOST];
    int count = 0;

    bool make(const Call& call, const Packed<T>* weights, int64_t most, bool backward, int64_t threads) {
        int64_t bytes = 0;
        for (int64_t i = 0; i < call.n_weights; ++i) bytes += weights[i].K * weights[i].N * (int64_t)sizeof(T);
        const int wanted = bytes < SHARED || threads < 2 ? 1 : threads < MOST ? (int)threads : MOST;
        for (; count < wanted; ++count) {
            Lane<T>* lane = new (std::nothrow) Lane<T>(call, weights);
            if (!lane) return false;
            lanes[count] = lane;
            if (!lane->make(most, backward, count ? lanes[0] : nullptr)) {
                ++count;
                return false;
            }
        }
        lanes[0]->mates = lanes;
        lanes[0]->n_mates = count;
        return true;
    }

    ~Crew() {
        for (int i = 0; i < count; ++i) delete lanes[i];
    }
};

// ---- the whole call

template <class T> struct Job {
    Pass<T>* pass;
    bool backward;
    const T** pointers;  // [2][rows of all sequences]: of g, of v
    const T** x_rows;
    int64_t count;       // valid (t, b)
    int64_t* t_of;
    int64_t* b_of;
};

template <class T> void pack_work(void* context, int part) { pack_part<T>(*((Job<T>*)context)->pass, part); }

template <class T> void lane_work(void* context, int part) {
    Job<T>& job = *(Job<T>*)context;
    Pass<T>& pass = *job.pass;
    const int64_t first = pass.call.batch * part / pass.parts, last = pass.call.batch * (part + 1) / pass.parts;
    if (first == last) return;
    const int64_t most = last - first < pass.block ? last - first : pass.block;
    Crew<T> crew;
    if (!crew.make(pass.call, pass.weights, most, job.backward, pass.call.batch == 1 ? pass.threads : 1)) {
        pass.status = NO_MEMORY;
        return;
    }
    Lane<T>& lane = *crew.lanes[0];
    for (int64_t row = first; row < last; row += most) {
        lane.seat(row, row + most < last ? row + most : last);
        if (job.backward)
            lane.backward();
        else
            lane.forward();
    }
}

// Where part `part` of n rows begins, on a border of the product's kernel.
RR_INLINE int64_t cut(int64_t n, int part, int parts) {
    const int64_t at = (n * part / parts + ROWS - 1) / ROWS * ROWS;
    return part == parts || at > n ? n : at;
}

// Where a product's operand lay at (t, b): a slot's row, or x where there is none.
template <class T> const T* operand(const Call& call, int slot, int64_t t, int64_t b) {
    if (slot < 0) return (const T*)call.x + t * call.x_step + b * call.x_row;
    const SlotCode& code = call.code.slots[slot];
    if (code.kind == SERIES) {
        const ArrayCode& array = call.arrays[code.index];
        return (const T*)array.base + (t * call.batch + b) * array.stride + code.column;
    }
    const int64_t s = code.index, n = call.length(b);
    const Override* o = call.overriding(s, t, b, n);
    if (o) return (const T*)o->value + call.border(t) * o->value_step + b * o->value_row;
    const int64_t first = call.reverse ? n - 1 : 0, earlier = call.reverse ? t + 1 : t - 1;
    if (t == first) return (const T*)call.states[s].initial + b * call.states[s].initial_row;
    const ArrayCode& array = call.arrays[call.states[s].after];
    return (const T*)array.base + (earlier * call.batch + b) * array.stride;
}

// The sums that are computed together with sum i, which is the first of them: those with the same g, copied once for
// all, as long as the piece of their results that is worked on stays in the second cache. Returns how many; 0 where i
// comes with an earlier one.
inline int together(const Code& code, int i, int* which) {
    const SumCode& first = code.sums[i];
    int count = 0;
    int64_t columns = 0;
    for (int k = 0; k < code.n_sums; ++k) {
        const SumCode& sum = code.sums[k];
        if (sum.kind != OF_PRODUCTS || sum.array != first.array || sum.column != first.column || sum.n != first.n) continue;
        if (count == TOGETHER || (count && columns + sum.m > SHARING)) {
            if (k > i && which[0] == i) return count;
            count = 0;
            columns = 0;
        }
        which[count++] = k;
        columns += sum.m;
    }
    return which[0] == i ? count : 0;
}

// The gradients that are sums over all steps and rows, one part of the columns of each.
template <class T> void sums_work(void* context, int part) {
    Job<T>& job = *(Job<T>*)context;
    Pass<T>& pass = *job.pass;
    const Call& call = pass.call;
    const int64_t R = job.count;
    int which[TOGETHER];
    int64_t panels = 0;
    for (int i = 0; i < call.code.n_sums; ++i) {
        if (call.code.sums[i].kind != OF_PRODUCTS) continue;
        int64_t found = 0;
        for (int k = together(call.code, i, which); k-- > 0;) found += panels_of<T>(call.code.sums[which[k]].m);
        panels = found > panels ? found : panels;
    }
    const size_t scratch_size = panels ? gradient_scratch<T>(R, panels) : 0;
    Arena arena;
    const int64_t most = R > call.batch ? R : call.batch;
    if (!arena.make(room<const T*>(most) + TOGETHER * room<const T*>(R) + room<T>(scratch_size))) {
        pass.status = NO_MEMORY;
        return;
    }
    const T** g = arena.take<const T*>(most);
    const T** v[TOGETHER];
    for (int k = 0; k < TOGETHER; ++k) v[k] = arena.take<const T*>(R);
    T* scratch = arena.take<T>(scratch_size);
    for (int i = 0; i < call.code.n_sums; ++i) {
        const SumCode& sum = call.code.sums[i];
        const int64_t n0 = cut(sum.n, part, pass.parts), n1 = cut(sum.n, part + 1, pass.parts);
        const bool product = sum.kind == OF_PRODUCTS;
        const int count = product ? together(call.code, i, which) : 0;
        if (n0 == n1 || (product && !count)) continue;
        const ArrayCode& array = call.arrays[sum.array];
        if (sum.kind == OF_TOTALS) {
            for (int64_t b = 0; b < call.batch; ++b) g[b] = (const T*)array.base + b * array.stride + sum.column;
            column_sums<T>(call.batch, g, n0, n1, (T*)call.arrays[sum.out].base);
            continue;
        }
        for (int64_t q = 0; q < R; ++q)
            g[q] = (const T*)array.base + (job.t_of[q] * call.batch + job.b_of[q]) * array.stride + sum.column;
        if (!product) {
            column_sums<T>(R, g, n0, n1, (T*)call.arrays[sum.out].base);
            continue;
        }
        Gradient<T> gradients[TOGETHER];
        for (int k = 0; k < count; ++k) {
            const SumCode& one = call.code.sums[which[k]];
            const ArrayCode& out = call.arrays[one.out];
            for (int64_t q = 0; q < R; ++q) v[k][q] = operand<T>(call, one.operand, job.t_of[q], job.b_of[q]);
            gradients[k] = {v[k], one.m, (T*)out.base, out.stride};
        }
        gradient_products<T>(R, g, n0, n1, gradients, count, scratch);
    }
}

// The gradient of x, for one part of all (t, b).
template <class T> void input_work(void* context, int part) {
    Job<T>& job = *(Job<T>*)context;
    Pass<T>& pass = *job.pass;
    const Call& call = pass.call;
    const int64_t first = job.count * part / pass.parts, last = job.count * (part + 1) / pass.parts;
    const T* a[LOT];
    T* c[LOT];
    for (int64_t q = first; q < last; q += LOT) {
        const int64_t rows = last - q < LOT ? last - q : LOT;
        for (int64_t r = 0; r < rows; ++r) c[r] = (T*)call.x_gradient + (job.t_of[q + r] * call.batch + job.b_of[q + r]) * call.input;
        const T* const* start = nullptr;
        for (int i = 0; i < call.code.n_input_terms; ++i) {
            const Term& term = call.code.input_terms[i];
            for (int64_t r = 0; r < rows; ++r) a[r] = operand<T>(call, term.operand, job.t_of[q + r], job.b_of[q + r]);
            product<T>(rows, a, pass.weights[term.weight], 0, call.input, start, c);
            start = (const T* const*)c;
        }
    }
}

template <class T> int scan(const int64_t* words, int64_t count, bool backward) {
    Pass<T> pass;
    const int wrong = pass.call.read(words, count, backward);
    if (wrong) return wrong;
    const Call& call = pass.call;
    for (int64_t i = 0; i < call.n_arrays; ++i) {
        const ArrayCode& array = call.arrays[i];
        use_large_pages((void*)array.base, (size_t)array.rows * (size_t)array.stride * sizeof(T));
    }
    int64_t total = 0;
    for (int64_t b = 0; b < call.batch; ++b) total += call.length(b);
    int64_t elements = 0;
    for (int64_t i = 0; i < call.n_weights; ++i) elements += call.weights[i].K * call.weights[i].N;
    const bool far = beyond_cache<T>(elements, 1);
    const bool few = total <= 2;  // packing would cost more than the products
    Arena arena;
    size_t bytes = room<Packed<T>>(call.n_weights);
    for (int64_t i = 0; i < call.n_weights; ++i)
        if (!few && !call.weights[i].packed) bytes += room<T>(packed_size<T>(call.weights[i].K, call.weights[i].N));
    if (backward) bytes += 2 * room<int64_t>(total);
    if (!arena.make(bytes)) return NO_MEMORY;
    pass.weights = arena.take<Packed<T>>(call.n_weights);
    pass.parts = call.threads < 1 ? 1 : (int)call.threads;
    pass.status = 0;
    for (int64_t i = 0; i < call.n_weights; ++i) {
        const WeightCode& w = call.weights[i];
        const T* panels = w.packed ? (const T*)w.base : few ? nullptr : arena.take<T>(packed_size<T>(w.K, w.N));
        pass.weights[i] = {panels, (const T*)w.base, w.row_stride, w.column_stride, w.K, w.N, far};
    }
    Job<T> job = {};
    job.pass = &pass;
    job.backward = backward;
    if (!few) parallel(pass.parts, pack_work<T>, &job);
    const int threads = pass.parts;
    pass.threads = threads;
    if (pass.parts > call.batch) pass.parts = (int)call.batch;
    pass.block = BLOCK;
    parallel(pass.parts, lane_work<T>, &job);
    if (!backward || pass.status) return pass.status;
    job.count = total;
    job.t_of = arena.take<int64_t>(total);
    job.b_of = arena.take<int64_t>(total);
    int64_t q = 0;
    for (int64_t t = 0; t < call.steps; ++t)
        for (int64_t b = 0; b < call.batch; ++b)
            if (t < call.length(b)) {
                job.t_of[q] = t;
                job.b_of[q++] = b;
            }
    pass.parts = threads;
    parallel(pass.parts, sums_work<T>, &job);
    if (call.x_gradient) {
        for (int64_t b = 0; b < call.batch; ++b)
            for (int64_t t = call.length(b); t < call.steps; ++t)
                memset((T*)call.x_gradient + (t * call.batch + b) * call.input, 0, call.input * sizeof(T));
        if (!call.code.n_input_terms) memset((T*)call.x_gradient, 0, call.steps * call.batch * call.input * sizeof(T));
        parallel(pass.parts, input_work<T>, &job);
    }
    return pass.status;
}

}  // namespace RR_ISA
}  // namespace rr
