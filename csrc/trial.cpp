// By this the tests try the threads: nothing else calls it.
#include <pthread.h>

#include <cstdint>

#include "threads.hpp"

namespace {

struct Trial {
    int threads, parts;
    int64_t loops;
    int depth;
    int32_t* times;
    uint64_t* thread;
    float* halved;
};

void work(void* context, int part) {
    const Trial& trial = *static_cast<Trial*>(context);
    if (trial.depth) {
        Trial inner = trial;
        inner.depth = 0;
        inner.times += int64_t(part) * trial.parts;
        inner.thread += int64_t(part) * trial.parts;
        inner.halved += int64_t(part) * trial.parts;
        rr::parallel(trial.threads, trial.parts, work, &inner);
        return;
    }
    volatile float turn = 1, least = 1.2e-38f;  // half of it is denormal
    for (int64_t i = 0; i < trial.loops; ++i) turn = turn * 0.5f + 0.5f;
    trial.halved[part] = least * 0.5f;
    trial.thread[part] = uint64_t(pthread_self());
    ++trial.times[part];
}

}  // namespace

// Runs `parts` parts on `threads` threads, each of them `loops` multiplications long; with depth 1 every part runs as
// many again in a nested call. Of each innermost part: how often it ran, on which thread, and 1.2e-38 / 2 as that has it.
extern "C" __attribute__((visibility("default"))) void rr_trial(int threads, int parts, int64_t loops, int depth,
                                                                int32_t* times, uint64_t* thread, float* halved) {
    Trial trial = {threads, parts, loops, depth, times, thread, halved};
    rr::parallel(threads, parts, work, &trial);
}
