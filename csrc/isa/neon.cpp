#define RR_ISA neon
#include "../engine.hpp"
