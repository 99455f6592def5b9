// Global memory: what a kernel may touch, and where everything else of the process lies.
#pragma once

#include "block.h"
#include "objects.h"
#include "shadow.h"

namespace tilewise {

struct Allocation {
    char name[64];
    char* begin = nullptr;
    size_t bytes = 0;
    void* mapping = nullptr;  // the whole of it, margins included; null for a variable of a kernel file
    size_t mapped = 0;
    Shadow shadow;
};

// -> the allocation that holds the address, or null
Allocation* allocation_at(const char* address);
// An overrun must not land in the next allocation, or nobody would see it. An access that lies farther from memory than
// this was hardly meant for it.
constexpr size_t margin = 64 * 1024;

// -> the allocation nearest to the address, or null when none is near: within the margin, or its own size where larger
Allocation* nearest_allocation(const char* address);

// How far an address lies outside a range: 0 inside, 1 just past the end.
size_t distance(const char* address, const char* begin, size_t bytes);

// The loaded kernel file: its code and constants, and its shared memory on this operating-system thread.
struct Module {
    const char *begin = nullptr, *end = nullptr;
    const char *variables = nullptr, *variables_end = nullptr;  // memory that can be written
    const char *constants = nullptr, *constants_end = nullptr;  // __constant__: kernels may read it all the same
    char* shared = nullptr;
    size_t shared_bytes = 0;
};
Module module_of(const Launch& launch);

// Make the variables of the kernel file known as allocations.
void add_variables(const Launch& launch, const Module& module);

}  // namespace tilewise
