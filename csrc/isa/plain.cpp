#define RR_ISA plain
#include "../engine.hpp"
