#include "threads.hpp"

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <atomic>
#include <new>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace rr {
namespace {

constexpr int HELPERS = 255;     // at most
constexpr int PARTS = 1 << 16;   // of one round
constexpr int64_t SPIN = 20000;  // nanoseconds: a helper that spins for longer slows torch's own threads
constexpr size_t STACK = size_t(2) << 20;

int64_t now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return int64_t(t.tv_sec) * 1000000000 + t.tv_nsec;
}

void pause() {
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

// Looks again and again, for a short while. Whether what it waits for has come.
template <class Condition> bool spin(Condition came) {
    const int64_t start = now();
    do {
        for (int i = 0; i < 16; ++i) {
            if (came()) return true;
            pause();
        }
    } while (now() - start < SPIN);
    return came();
}

// One thread sleeps here until another says that what it waits for has come. Whoever says so pays for a system call
// only where the other is asleep: the sleeper marks itself before its last look, the waker looks for the mark after
// it has changed what is looked at, and both in one order that all threads agree on.
struct Bed {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t bell = PTHREAD_COND_INITIALIZER;
    std::atomic<bool> asleep{false};

    template <class Condition> void sleep(Condition came) {
        pthread_mutex_lock(&mutex);
        asleep = true;
        while (!came()) pthread_cond_wait(&bell, &mutex);
        asleep = false;
        pthread_mutex_unlock(&mutex);
    }

    void wake() {
        if (!asleep) return;
        pthread_mutex_lock(&mutex);
        pthread_cond_signal(&bell);
        pthread_mutex_unlock(&mutex);
    }
};

// What can still be taken of the present round: `next` .. `parts` - 1, by the first `helpers` helpers. One word, so
// that a part is taken by one compare-and-swap. Whoever has taken a part may read the round's other members until it
// has reported the part done: they change only where none is unfinished.
struct Offer {
    uint64_t word;
    static Offer of(int helpers, int next, int parts) {
        return {uint64_t(helpers) << 48 | uint64_t(next) << 24 | uint64_t(parts)};
    }
    int helpers() const { return int(word >> 48); }
    int next() const { return int(word >> 24 & 0xffffff); }
    int parts() const { return int(word & 0xffffff); }
    bool open_to(int helper) const { return helper < helpers() && next() < parts(); }
};

struct Pool;

struct Helper {
    Pool* pool;
    int number;
    pthread_t thread;
    Bed bed;
};

struct Pool {
    std::atomic<bool> closed{false};
    std::atomic<uint64_t> offer{0};
    std::atomic<int> unfinished{0};
    Bed caller;
    void (*work)(void*, int) = nullptr;
    void* context = nullptr;
    fenv_t mode;
    int started = 0;  // helpers; only the caller that has taken the helpers looks here
    Helper* helpers[HELPERS];

    // Takes one part and runs it, as helper `number` (-1: the caller). Whether there was one.
    bool help(int number) {
        uint64_t word = offer;
        do {
            if (!Offer{word}.open_to(number)) return false;
        } while (!offer.compare_exchange_weak(word, word + (uint64_t(1) << 24)));
        if (number >= 0) fesetenv(&mode);
        work(context, Offer{word}.next());
        if (--unfinished == 0 && number >= 0) caller.wake();
        return true;
    }

    void run(int threads, int parts, void (*w)(void*, int), void* c) {
        const int wanted = threads - 1 < parts - 1 ? threads - 1 : parts - 1;
        while (started < wanted && start()) {
        }
        const int ready = wanted < started ? wanted : started;
        work = w;
        context = c;
        fegetenv(&mode);
        unfinished = parts;
        offer = Offer::of(ready, 1, parts).word;
        for (int i = 0; i < ready; ++i) helpers[i]->bed.wake();
        w(c, 0);
        --unfinished;
        while (help(-1)) {
        }
        const auto done = [this] { return unfinished == 0; };
        if (!spin(done)) caller.sleep(done);
    }

    bool start();
    void serve(Helper& me);
};

void Pool::serve(Helper& me) {
    const auto called = [&] { return closed || Offer{offer}.open_to(me.number); };
    while (!closed) {
        if (!help(me.number) && !spin(called)) me.bed.sleep(called);
    }
}

void* serve(void* helper) {
    Helper& me = *static_cast<Helper*>(helper);
    me.pool->serve(me);
    return nullptr;
}

// One helper more. false where the system gives none: then fewer have to do.
bool Pool::start() {
    if (started == HELPERS) return false;
    Helper* helper = new (std::nothrow) Helper;
    if (!helper) return false;
    helper->pool = this;
    helper->number = started;
    // Signals are for Python's own threads, but for those that a fault raises in the thread itself.
    sigset_t blocked, before;
    sigfillset(&blocked);
    const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (int fault : faults) sigdelset(&blocked, fault);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    const int refused = pthread_create(&helper->thread, &attributes, rr::serve, helper);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (refused) {
        delete helper;
        return false;
    }
    helpers[started++] = helper;
    return true;
}

// Of this process. A forked child has none of its parent's helpers, and locks may be held there by threads that it
// does not have: it leaves its parent's pool lying and makes its own on first need.
std::atomic<Pool*> present{nullptr};
std::atomic<Runtime> lender{nullptr};
std::atomic<bool> taken{false};  // the helpers, by a caller
std::atomic<bool> ended{false};

void forget() {
    present = nullptr;
    lender = nullptr;
    taken = false;
}

// Only by the caller that has taken the helpers.
Pool* pool() {
    if (!present && !ended) present = new (std::nothrow) Pool;
    return present;
}

struct Lifetime {
    Lifetime() { pthread_atfork(nullptr, nullptr, forget); }
    // At exit: the helpers finish what they have taken. A thread that is still inside a call goes on, and one that
    // comes later does so alone.
    ~Lifetime() {
        ended = true;
        if (taken.exchange(true)) return;
        if (Pool* last = present) {
            last->closed = true;
            for (int i = 0; i < last->started; ++i) {
                last->helpers[i]->bed.wake();
                pthread_join(last->helpers[i]->thread, nullptr);
            }
        }
    }
} lifetime;

// A round on torch's threads: all of its team come, as many as torch itself would use, since libgomp ends the threads
// that a smaller team leaves out. Those above `threads` find no seat and go.
struct Round {
    void (*work)(void*, int);
    void* context;
    int parts;
    std::atomic<int> seats, next;
    pthread_t caller;
    fenv_t mode;
};

void help(void* context) {
    Round& round = *static_cast<Round*>(context);
    fenv_t before;
    const bool caller = pthread_equal(pthread_self(), round.caller);
    if (caller) {
        round.work(round.context, 0);
    } else {
        if (--round.seats < 0) return;
        fegetenv(&before);
        fesetenv(&round.mode);
    }
    for (int part; (part = round.next++) < round.parts;) round.work(round.context, part);
    if (!caller) fesetenv(&before);
}

}  // namespace

void borrow(Runtime runtime) { lender = runtime; }

bool lent() { return lender != nullptr; }

void everywhere(void (*work)(void*), void* context) {
    if (const Runtime runtime = lender)
        runtime(work, context, 0, 0);
    else
        work(context);
}

void parallel(int threads, int parts, void (*work)(void*, int), void* context) {
    if (threads > 1 && parts > 1 && !taken.exchange(true)) {
        const Runtime runtime = lender;
        Pool* own = runtime || parts >= PARTS ? nullptr : pool();
        if (runtime) {
            Round round{work, context, parts, {threads - 1}, {1}, pthread_self(), {}};
            fegetenv(&round.mode);
            runtime(help, &round, 0, 0);
        } else if (own) {
            own->run(threads, parts, work, context);
        }
        taken = false;
        if (runtime || own) return;
    }
    for (int part = 0; part < parts; ++part) work(context, part);
}

}  // namespace rr
