#define RR_ISA avx512
#include "../engine.hpp"
