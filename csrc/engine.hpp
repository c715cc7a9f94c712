// The engine for one instruction set: everything that isa/*.cpp compiles, and the table through which api.cpp calls it.
#pragma once

#include "scan.hpp"
#include "simd.hpp"
#include "table.hpp"

#define RR_STRING_(x) #x
#define RR_STRING(x) RR_STRING_(x)
#define RR_JOIN_(a, b) a##b
#define RR_JOIN(a, b) RR_JOIN_(a, b)

namespace rr {

extern const Table RR_JOIN(table_, RR_ISA);
const Table RR_JOIN(table_, RR_ISA) = {
    RR_STRING(RR_ISA),
    RR_ISA::BYTES,
    RR_ISA::scan<float>,
    RR_ISA::scan<double>,
};

}  // namespace rr
