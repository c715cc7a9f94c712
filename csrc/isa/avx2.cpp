#define RR_ISA avx2
#include "../engine.hpp"
