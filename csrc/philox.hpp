// Uniforms from a counter-based generator: any position of any stream costs the same and needs none before it.
#pragma once

#include <cstdint>

namespace rr {

// u(seed, stream, position) = (w >> 11) / 2^53 in [0, 1), w = word (position mod 4) of Philox4x64-10 with
// key (seed, stream), counter (position div 4) + 1 (Salmon et al. 2011, table 2 and section 3.3).
// The + 1 is NumPy's, which counts before it draws: decoding/sampling.py makes the same numbers with it.
static inline double uniform(uint64_t seed, uint64_t stream, uint64_t position) {
    __extension__ typedef unsigned __int128 Wide;
    uint64_t words[4] = {position / 4 + 1, 0, 0, 0};
    for (int round = 0; round < 10; ++round) {
        const Wide a = (Wide)0xD2E7470EE14C6C93u * words[0], b = (Wide)0xCA5A826395121157u * words[2];
        words[0] = (uint64_t)(b >> 64) ^ words[1] ^ seed;
        words[2] = (uint64_t)(a >> 64) ^ words[3] ^ stream;
        words[1] = (uint64_t)b;
        words[3] = (uint64_t)a;
        seed += 0x9E3779B97F4A7C15u;
        stream += 0xBB67AE8584CAA73Bu;
    }
    return (double)(words[position % 4] >> 11) * 0x1p-53;
}

}  // namespace rr
