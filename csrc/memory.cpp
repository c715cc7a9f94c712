#include "memory.hpp"

#include <stdlib.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <atomic>

namespace rr {
namespace {

constexpr size_t LINE = 64;
constexpr size_t MOST = size_t(64) << 20;  // bytes that are kept
constexpr int PLACES = 16;
constexpr size_t LARGE = size_t(1) << 20;  // many arrays side by side in one allocation count, too
constexpr size_t SMALL_PAGE = 4096;

// Stands in the line before the memory that is handed out.
struct Block {
    size_t size;  // of all, this line among it
};

std::atomic<Block*> places[PLACES];
std::atomic<size_t> kept{0};

// The sanitizers are to see every call's memory as new.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool KEEPS = false;
#else
constexpr bool KEEPS = true;
#endif

bool keep(Block* block) {
    if (!KEEPS || kept.fetch_add(block->size) + block->size > MOST) {
        if (KEEPS) kept -= block->size;
        return false;
    }
    for (std::atomic<Block*>& place : places) {
        Block* none = nullptr;
        if (place.compare_exchange_strong(none, block)) return true;
    }
    kept -= block->size;
    return false;
}

}  // namespace

void* take_memory(size_t bytes) {
    const size_t size = (bytes + 2 * LINE - 1) / LINE * LINE;
    for (std::atomic<Block*>& place : places) {
        Block* block = place.load();
        if (!block || !(block = place.exchange(nullptr))) continue;
        kept -= block->size;
        if (block->size >= size && block->size / 4 <= size) return (char*)block + LINE;
        if (!keep(block)) free(block);
    }
    void* made = nullptr;
    if (posix_memalign(&made, LINE, size)) return nullptr;
    ((Block*)made)->size = size;
    return (char*)made + LINE;
}

void give_memory(void* memory) {
    if (!memory) return;
    Block* block = (Block*)((char*)memory - LINE);
    if (!keep(block)) free(block);
}

void use_large_pages(void* memory, size_t bytes) {
#if defined(MADV_HUGEPAGE)
    if (bytes < LARGE) return;
    // Outwards to the borders of small pages, so that what lies side by side in one allocation stays one area.
    const size_t first = (size_t)memory / SMALL_PAGE * SMALL_PAGE;
    const size_t last = ((size_t)memory + bytes + SMALL_PAGE - 1) / SMALL_PAGE * SMALL_PAGE;
    madvise((void*)first, last - first, MADV_HUGEPAGE);  // an advice: whether it was heard does not matter
#else
    (void)memory;
    (void)bytes;
#endif
}

}  // namespace rr
