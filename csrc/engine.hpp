// The engine for one instruction set: everything that isa/*.cpp compiles, and the table through which api.cpp calls it.
#pragma once

#include "generate.hpp"
#include "linear.hpp"
#include "scan.hpp"
#include "simd.hpp"
#include "table.hpp"

#define RR_STRING_(x) #x
#define RR_STRING(x) RR_STRING_(x)
#define RR_JOIN_(a, b) a##b
#define RR_JOIN(a, b) RR_JOIN_(a, b)

namespace rr {
namespace RR_ISA {

// The elements that B [K, N] takes when packed; it is packed into `out` where that is not nullptr.
template <class T>
int64_t pack_once(const T* b, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N, T* out) {
    if (out) pack<T>(b, row_stride, column_stride, K, N, out);
    return packed_size<T>(K, N);
}

}  // namespace RR_ISA

extern const Table RR_JOIN(table_, RR_ISA);
const Table RR_JOIN(table_, RR_ISA) = {
    RR_STRING(RR_ISA),
    RR_ISA::BYTES,
    RR_ISA::scan<float>,
    RR_ISA::scan<double>,
    RR_ISA::pack_once<float>,
    RR_ISA::pack_once<double>,
    RR_ISA::linear<float>,
    RR_ISA::linear<double>,
    RR_ISA::generate<float>,
    RR_ISA::generate<double>,
};

}  // namespace rr
