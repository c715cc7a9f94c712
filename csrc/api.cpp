// The library's entry points: a plain C interface without Python and torch, called through ctypes.
//
// An entry point calls through the table of one instruction set, which is chosen once (rr_choose) before any other call.
#include <cstdint>
#include <cstring>

#include "subnormal.hpp"
#include "table.hpp"
#include "threads.hpp"

#define RR_API extern "C" __attribute__((visibility("default")))

namespace rr {
namespace {

// Changes whenever an entry point, a number of the interpreter or a layout does; engine/library.py has the same.
constexpr int ABI = 5;

// What was compiled, the widest first, with what the processor must have for it.
const Table* const TABLES[] = {
#ifdef RR_HAVE_AVX512
    &table_avx512,
#endif
#ifdef RR_HAVE_AVX2
    &table_avx2,
#endif
#ifdef RR_HAVE_NEON
    &table_neon,
#endif
    &table_plain,
};

bool runs_here(const Table* table) {
#ifdef RR_HAVE_AVX512
    if (table == &table_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("fma");
#endif
#ifdef RR_HAVE_AVX2
    if (table == &table_avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return table != nullptr;
}

const Table* chosen = nullptr;

constexpr int REFUSED = 1;  // as a scan answers to words that do not fit together

int steps(int (*scan)(const int64_t*, int64_t, bool), const int64_t* words, int64_t count, const int64_t* starts,
          int64_t layers) {
    for (int64_t i = 0; i < layers; ++i) {
        if (starts[i] < 0 || starts[i] > starts[i + 1] || starts[i + 1] > count) return REFUSED;
        if (const int status = scan(words + starts[i], starts[i + 1] - starts[i], false)) return status;
    }
    return 0;
}

}  // namespace
}  // namespace rr

using namespace rr;

RR_API int rr_abi(void) { return ABI; }

RR_API const char* rr_version(void) { return RR_VERSION; }

// The name of the i-th instruction set that was compiled, the widest first; nullptr past the last.
RR_API const char* rr_compiled(int i) {
    return i >= 0 && i < int(sizeof TABLES / sizeof *TABLES) ? TABLES[i]->name : nullptr;
}

// Chooses an instruction set: "" is the widest that the processor has. 0, or 1 where it was not compiled, or 2 where the
// processor lacks it. All numbers of a process come from one set, so this is called before anything is computed.
RR_API int rr_choose(const char* name) {
    for (const Table* table : TABLES) {
        if (*name && std::strcmp(name, table->name)) continue;
        if (runs_here(table)) {
            chosen = table;
            return 0;
        }
        if (*name) return 2;
    }
    return 1;
}

// The name of the chosen one, nullptr before.
RR_API const char* rr_isa(void) { return chosen ? chosen->name : nullptr; }

// Lends the engine the threads of torch's OpenMP runtime by its entry GOMP_parallel; nullptr takes them back.
RR_API void rr_borrow(void* runtime) { borrow((Runtime)runtime); }

// Whether this thread's results are zero where they are subnormal: 1 or 0; -1 where no mode is worth it: the processor is
// not slow with them, or torch's runtime lends no threads, which would have another mode than this one.
RR_API int rr_flushes_subnormals(void) {
    return SUBNORMALS_ARE_SLOW && lent() ? int(flushes_subnormals()) : -1;
}

// From now on they are, or are not, of this thread and of those that torch's runtime lends.
RR_API void rr_flush_subnormals(int flush) {
    everywhere([](void* to) { flush_subnormals(*static_cast<int*>(to) != 0); }, &flush);
}

// All steps of a recurrence, or their gradient, of which no result is subnormal: call.hpp says what the words are. 0, or 1
// where they do not fit together, or 2 where there was no memory.
RR_API int rr_scan_float(const int64_t* words, int64_t count, int backward) {
    if (!backward) return chosen->scan_float(words, count, false);
    const NoSubnormalResults mode;
    return chosen->scan_float(words, count, true);
}

RR_API int rr_scan_double(const int64_t* words, int64_t count, int backward) {
    if (!backward) return chosen->scan_double(words, count, false);
    const NoSubnormalResults mode;
    return chosen->scan_double(words, count, true);
}

// Scans one after the other, such as a step of layers each of which reads what the one below has left: the words of scan
// i are words[starts[i]] to words[starts[i + 1] - 1]. The answer is that of the first that fails, or 0.
RR_API int rr_steps_float(const int64_t* words, int64_t count, const int64_t* starts, int64_t layers) {
    return steps(chosen->scan_float, words, count, starts, layers);
}

RR_API int rr_steps_double(const int64_t* words, int64_t count, const int64_t* starts, int64_t layers) {
    return steps(chosen->scan_double, words, count, starts, layers);
}

// A weight for the words of a scan whose `packed` is 1, as this process's instruction set wants it. B[k][n] is
// b[k * row_stride + n * column_stride]. Returns the elements that it takes; packs only where `out` is not nullptr.
RR_API int64_t rr_pack_float(
    const float* b, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N, float* out) {
    return chosen->pack_float(b, row_stride, column_stride, K, N, out);
}

RR_API int64_t rr_pack_double(
    const double* b, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N, double* out) {
    return chosen->pack_double(b, row_stride, column_stride, K, N, out);
}

// c[r][n] = bias[n] + sum over k of a[r][k] B[k][n], B packed, bias may be nullptr; rows lie a_row and c_row apart.
RR_API void rr_linear_float(int64_t rows, const float* a, int64_t a_row, int64_t K, const float* panels, int64_t N,
                            const float* bias, float* c, int64_t c_row, int threads) {
    chosen->linear_float(rows, a, a_row, K, panels, N, bias, c, c_row, threads);
}

RR_API void rr_linear_double(int64_t rows, const double* a, int64_t a_row, int64_t K, const double* panels, int64_t N,
                             const double* bias, double* c, int64_t c_row, int threads) {
    chosen->linear_double(rows, a, a_row, K, panels, N, bias, c, c_row, threads);
}

// Tokens written by a stack of layers: generate.hpp says what the words are. 0, or what a draw answers (draw.hpp), or 16
// where the words do not fit together, or 17 where there was no memory.
RR_API int rr_generate_float(int64_t* words, int64_t count) { return chosen->generate_float(words, count); }

RR_API int rr_generate_double(int64_t* words, int64_t count) { return chosen->generate_double(words, count); }
