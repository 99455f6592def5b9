// Global memory: what a kernel may touch, and where everything else of the process lies.
#pragma once

#include "block.h"
#include "shadow.h"

namespace tilewise {

struct Allocation {
    char name[64];
    char* begin;
    size_t bytes;
    void* mapping;  // the whole of it, margins included
    size_t mapped;
    Shadow shadow;
};

// -> the allocation that holds the address, or null
Allocation* allocation_at(const char* address);
// -> the allocation nearest to the address, or null when there is none
Allocation* nearest_allocation(const char* address);

// How far an address lies outside a range: 0 inside, 1 just past the end.
size_t distance(const char* address, const char* begin, size_t bytes);

// The loaded kernel file: its variables and constants, and its shared memory on this operating-system thread.
struct Module {
    const char *begin = nullptr, *end = nullptr;
    char* shared = nullptr;
    size_t shared_bytes = 0;
};
Module module_of(const Launch& launch);

}  // namespace tilewise
