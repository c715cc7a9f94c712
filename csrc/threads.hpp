// Threads that sleep until there is work, and help the caller with it.
//
// No OpenMP: a second runtime beside torch's makes both spin against each other.
#pragma once

namespace rr {

// Calls work(context, part) once for each part = 0 .. parts - 1 and returns when all are done. Part 0 runs on the
// caller; the others on whichever of `threads` threads (the caller among them) is free first, in ascending order. So
// a helper that wakes late, or shares its core with another process, costs no more than the part that it has taken.
//
// Parts must not wait for one another: where the helpers are busy with another caller's work, in a nested call, and
// where no thread can be started, the caller runs all parts itself, one after the other. A helper computes in the
// caller's floating-point mode (rounding, flushed denormals).
void parallel(int threads, int parts, void (*work)(void* context, int part), void* context);

// The same with one thread a part.
inline void parallel(int parts, void (*work)(void* context, int part), void* context) {
    parallel(parts, parts, work, context);
}

}  // namespace rr
