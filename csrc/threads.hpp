// Threads that help a caller with its work: torch's own where it lends them, ours elsewhere.
//
// After a parallel operation the threads of torch's OpenMP runtime (libgomp) look for more work for some 20 ms without
// leaving their cores. Threads of ours beside them get half of a core at best: on two cores, two threads were no faster
// than one right after a torch.mm. So parts run on torch's threads. Another runtime is never linked: two of them spin
// against each other all the time.
#pragma once

namespace rr {

// Calls work(context, part) once for each part = 0 .. parts - 1 and returns when all are done. Part 0 runs on the
// caller; the others on whichever of `threads` threads (the caller among them) is free first, in ascending order. So
// a helper that comes late, or shares its core with another process, costs no more than the part that it has taken.
//
// Parts must not wait for one another: where the helpers are busy with another caller's work, in a nested call, and
// where no thread can be started, the caller runs all parts itself, one after the other. A helper computes in the
// caller's floating-point mode (rounding, flushed denormals).
void parallel(int threads, int parts, void (*work)(void* context, int part), void* context);

// The same with one thread a part.
inline void parallel(int parts, void (*work)(void* context, int part), void* context) {
    parallel(parts, parts, work, context);
}

// The runtime's entry GOMP_parallel, which lends its threads from now on; nullptr: ours. A forked child uses ours in any
// case, since libgomp hangs there.
typedef void (*Runtime)(void (*work)(void*), void* context, unsigned threads, unsigned flags);
void borrow(Runtime runtime);

// Whether threads are lent at present.
bool lent();

// Calls work(context) once on the caller and once on every thread that is lent.
void everywhere(void (*work)(void* context), void* context);

}  // namespace rr
