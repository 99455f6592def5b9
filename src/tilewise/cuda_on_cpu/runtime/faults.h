// What went wrong, as data. Python reads the records and turns machine addresses into lines.
#pragma once

#include "block.h"

namespace tilewise {

// One record as Python's ctypes reads it; Python copies what it wants before the next launch.
struct FaultRecord {
    const char* kind;
    char message[480];
    Place at, other_at;
    uint3 block, thread, other_block, other_thread;
    int has_thread, has_other;
};

constexpr size_t most_faults = 64;

bool same_place(const Place& a, const Place& b);

// Add a record: about a thread, about two of them, or about a launch.
__attribute__((format(printf, 4, 5))) void tell(const char* kind, const Thread& thread, Place at, const char* format,
                                                ...);
__attribute__((format(printf, 5, 6))) void tell(const char* kind, uint3 block, uint3 thread, Place at,
                                                const char* format, ...);
__attribute__((format(printf, 6, 7))) void tell_pair(const char* kind, const Thread& thread, Place at,
                                                     const Thread& other, Place other_at, const char* format, ...);
__attribute__((format(printf, 7, 8))) void tell_pair(const char* kind, const Thread& thread, Place at,
                                                     uint3 other_block, uint3 other_thread, Place other_at,
                                                     const char* format, ...);
__attribute__((format(printf, 3, 4))) void tell_launch(const char* kind, Place at, const char* format, ...);

// The faults of waiting. They tell, and leave it to the caller to stop the block, but for the first.
void check_same_barrier(const Block& block, const Thread& me);
void tell_missed_barrier(const Block& block);
void tell_missing_lanes(const Block& block, const Thread& waiting);

// Let a __syncwarp() go on without the lanes that have returned. -> whether that was all it waited for
bool excuse_finished_lanes(Thread& waiting);

}  // namespace tilewise
