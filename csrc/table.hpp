// What one instruction set offers to api.cpp: pointers to its functions, single precision and double.
#pragma once

#include <cstdint>

namespace rr {

struct Table {
    const char* name;  // as RIVERRUN_ISA spells it
    int bytes;         // of a register
    int (*scan_float)(const int64_t* words, int64_t count, bool backward);
    int (*scan_double)(const int64_t* words, int64_t count, bool backward);
    int64_t (*pack_float)(const float* b, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N, float* out);
    int64_t (*pack_double)(
        const double* b, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N, double* out);
    void (*linear_float)(int64_t rows, const float* a, int64_t a_row, int64_t K, const float* panels, int64_t N,
                         const float* bias, float* c, int64_t c_row, int threads);
    void (*linear_double)(int64_t rows, const double* a, int64_t a_row, int64_t K, const double* panels, int64_t N,
                          const double* bias, double* c, int64_t c_row, int threads);
    int (*generate_float)(int64_t* words, int64_t count);
    int (*generate_double)(int64_t* words, int64_t count);
};

// One for each file of isa/ that was compiled: CMakeLists.txt defines the matching RR_HAVE_*.
extern const Table table_avx512;
extern const Table table_avx2;
extern const Table table_neon;
extern const Table table_plain;

}  // namespace rr
