// Memory to compute in: given back, it is kept for the next call, since a page that the system gives for the first time
// costs a microsecond. Nobody reads what an earlier call has left in it.
#pragma once

#include <cstddef>

namespace rr {

// Memory of at least so many bytes, on a border of 64; nullptr where there is none.
void* take_memory(size_t bytes);

// Gives it back. At most 64 MB are kept, of all threads together.
void give_memory(void* memory);

// Asks the system to give these bytes, where they have not been touched yet, in large pages: one fault for 2 MB and not
// 512 of a microsecond each. Less than 4 MB stay as they are, and where there is no such thing all does.
void use_large_pages(void* memory, size_t bytes);

}  // namespace rr
