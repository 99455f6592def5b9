// A block and its threads, run by one operating-system thread: whoever waits gives the processor to the next.
#pragma once

#include "../include/tilewise_cuda.h"
#include "fiber.h"

namespace tilewise {

constexpr unsigned lanes_of_warp = 32;
constexpr size_t page = 4096;
constexpr unsigned most_threads = 1024, most_block_depth = 64;
constexpr unsigned most_grid_columns = 0x7fffffff, most_grid_rows = 65535;

// A line of the source: named by the header's functions, or known by the address of the machine code.
struct Place {
    const char* file = nullptr;
    int line = 0;
    const void* code = nullptr;
};

enum class State { running, at_warp, at_barrier, finished };

struct Block;

struct Thread {
    Identity identity;
    Fiber fiber;
    Block* block;
    char* stack;
    unsigned number;
    State state;
    Place waits_at;
    const char* operation;  // what it waits in
    unsigned mask;
    Order order;
    unsigned atomics;               // since it last gave way
    bool fenced;                    // its last atomic came after a __threadfence()
    unsigned knows[lanes_of_warp];  // how much it has seen of each lane of its warp: a vector clock
    unsigned warp() const { return number / lanes_of_warp; }
};

// Lanes that wait for each other. Masks of one warp have no lane in common, so the lowest lane of a mask names it.
struct Meeting {
    unsigned mask = 0, arrived = 0;
    Thread* first = nullptr;
};

struct Warp {
    unsigned ready = 0;     // the lanes that can run
    unsigned expected = 0;  // the lanes of all meetings that have begun
    unsigned next = 0;      // the lane whose turn it is when the scheduler comes by
    Meeting meetings[lanes_of_warp];
    void* arguments[lanes_of_warp];  // what each lane brought to its meeting
};

class Checker;

struct Block {
    const Launch* launch = nullptr;
    Checker* checker = nullptr;  // null in the plain build
    uint3 index{};
    unsigned serial = 0;  // counts all blocks of all launches
    unsigned thread_count = 0, finished = 0, waiting = 0;
    int predicates = 0, predicates_of_last = 0;
    unsigned epoch = 0;  // barriers passed
    bool stopped = false;
    char* static_shared = nullptr;
    size_t static_bytes = 0;
    char* dynamic_shared = nullptr;
    Thread* threads[most_threads];
    Warp warps[most_threads / lanes_of_warp];
    Fiber scheduler;

    unsigned warp_count() const { return (thread_count + lanes_of_warp - 1) / lanes_of_warp; }
    Thread* lane_or_null(unsigned warp, unsigned lane) const {
        unsigned number = warp * lanes_of_warp + lane;
        return number < thread_count ? threads[number] : nullptr;
    }
};

// The thread whose fiber runs now on this operating-system thread; null outside kernels.
extern thread_local Thread* current __attribute__((tls_model("initial-exec")));

// Stacks and dynamic shared memory for one block at a time; kept for the next launch.
struct Room {
    char* stacks = nullptr;
    char* dynamic_shared = nullptr;
    bool open();
    ~Room();
};
constexpr size_t stack_bytes = 128 * 1024;
constexpr size_t most_shared_bytes = 227 * 1024, usual_shared_bytes = 48 * 1024;

// Run one block to its end, or until a fault stops it.
void run_block(Block& block, Room& room);

// Let somebody else run, and come back once this thread is ready and its turn comes.
void give_way(Thread& thread);

// The same for a thread that waits: its lane is not ready until somebody makes it so.
void wait_in(Thread& thread, State state);

// Leave a kernel for good: its block stops where it stands.
[[noreturn]] void abandon_block();

}  // namespace tilewise
