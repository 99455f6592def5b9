#include "block.h"

#include <sys/mman.h>

#include "checker.h"
#include "faults.h"

namespace tilewise {

thread_local Thread* current = nullptr;

// Shared memory beyond its end belongs to nobody, so that an overrun is seen and does no harm.
constexpr size_t shared_margin = 64 * 1024;

bool Room::open() {
    if (stacks) return true;
    size_t bytes = most_threads * stack_bytes;
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void* shared = mmap(nullptr, most_shared_bytes + 2 * shared_margin, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || shared == MAP_FAILED) return false;
    stacks = static_cast<char*>(memory);
    dynamic_shared = static_cast<char*>(shared) + shared_margin;
    // A stack that grows too deep must not run into its neighbour's.
    for (unsigned i = 0; i < most_threads; ++i) mprotect(stacks + i * stack_bytes, page, PROT_NONE);
    return true;
}

Room::~Room() {
    if (stacks) munmap(stacks, most_threads * stack_bytes);
    if (dynamic_shared) munmap(dynamic_shared - shared_margin, most_shared_bytes + 2 * shared_margin);
}

// -> the first of these lanes at or after `lane`, going round
static unsigned lane_from(unsigned lanes, unsigned lane) {
    unsigned later = lane < lanes_of_warp ? lanes & ~0u << lane : 0;
    return unsigned(__builtin_ctz(later ? later : lanes));
}

void give_way(Thread& thread) {
    thread.block->warps[thread.warp()].next = thread.identity.lane + 1;
    switch_fiber(thread.fiber, thread.block->scheduler);
}

void wait_in(Thread& thread, State state) {
    Block& block = *thread.block;
    Warp& warp = block.warps[thread.warp()];
    thread.state = state;
    warp.ready &= ~(1u << thread.identity.lane);
    if (!warp.ready) {
        switch_fiber(thread.fiber, block.scheduler);
    } else {
        // Straight to the next lane: going by the scheduler would take two switches.
        current = block.lane_or_null(thread.warp(), lane_from(warp.ready, thread.identity.lane + 1));
        switch_fiber(thread.fiber, current->fiber);
    }
    thread.state = State::running;
}

static void thread_main() {
    Thread& me = *current;
    me.block->launch->run_thread(me.block->launch->arguments);
    ++me.block->finished;
    wait_in(me, State::finished);
    __builtin_unreachable();  // nobody makes a finished thread ready
}

void abandon_block() {
    Thread& me = *current;
    me.block->stopped = true;
    switch_fiber(me.fiber, me.block->scheduler);
    __builtin_unreachable();  // nobody goes on in a stopped block
}

static void place_thread(Block& block, Room& room, unsigned number) {
    char* stack = room.stacks + number * stack_bytes;
    // Stacks start at different distances from a page's end: at equal ones they would share a few cache lines.
    size_t top = stack_bytes - sizeof(Thread) - number % 61 * 64;
    auto* thread = reinterpret_cast<Thread*>(stack + top / 64 * 64);
    dim3 size = block.launch->block;
    *thread = Thread{};
    thread->identity = {{number % size.x, number / size.x % size.y, number / (size.x * size.y)},
                        block.index,
                        size,
                        block.launch->grid,
                        number % lanes_of_warp,
                        room.dynamic_shared};
    thread->block = &block;
    thread->stack = stack;
    thread->number = number;
    thread->state = State::running;
    thread->knows[thread->identity.lane] = 1;
    block.threads[number] = thread;
    prepare(thread->fiber, stack, static_cast<size_t>(reinterpret_cast<char*>(thread) - stack), thread_main);
}

// Let the lanes of a warp take turns until all of them wait, or one gives way. -> whether any ran
static bool run_warp(Block& block, unsigned number) {
    Warp& warp = block.warps[number];
    if (!warp.ready) return false;
    current = block.lane_or_null(number, lane_from(warp.ready, warp.next));
    switch_fiber(block.scheduler, current->fiber);
    current = nullptr;
    return true;
}

static void begin_warp(Block& block, unsigned number) {
    unsigned lanes = min(block.thread_count - number * lanes_of_warp, lanes_of_warp);
    block.warps[number].ready = lanes == lanes_of_warp ? ~0u : (1u << lanes) - 1;
    block.warps[number].expected = block.warps[number].next = 0;
}

static void open_barrier(Block& block) {
    block.predicates_of_last = block.predicates;
    block.predicates = 0;
    block.waiting = 0;
    ++block.epoch;
    if (block.checker) block.checker->lanes_are_level(block);
    for (unsigned i = 0; i < block.thread_count; ++i) {
        block.threads[i]->state = State::running;
        block.warps[i / lanes_of_warp].ready |= 1u << i % lanes_of_warp;
    }
}

// Nobody can run: a lane that has returned is excused from a __syncwarp(); anything else is a fault and stops the
// block.
static void untangle(Block& block) {
    Thread* stuck = nullptr;
    for (unsigned i = 0; i < block.thread_count; ++i) {
        if (block.threads[i]->state != State::at_warp) continue;
        if (excuse_finished_lanes(*block.threads[i])) return;
        if (!stuck) stuck = block.threads[i];
    }
    if (stuck)
        tell_missing_lanes(block, *stuck);
    else
        tell_missed_barrier(block);
    block.stopped = true;
}

void run_block(Block& block, Room& room) {
    block.thread_count = block.launch->block.x * block.launch->block.y * block.launch->block.z;
    block.dynamic_shared = room.dynamic_shared;
    // All bits 1 is NaN in every floating type: what nobody has written shows.
    std::memset(block.dynamic_shared, 0xff, block.launch->shared_bytes);
    if (block.static_bytes) std::memset(block.static_shared, 0xff, block.static_bytes);
    for (unsigned i = 0; i < block.thread_count; ++i) place_thread(block, room, i);
    for (unsigned warp = 0; warp < block.warp_count(); ++warp) begin_warp(block, warp);
    while (!block.stopped && block.finished < block.thread_count) {
        bool ran = false;
        for (unsigned warp = 0; warp < block.warp_count() && !block.stopped; ++warp) ran |= run_warp(block, warp);
        if (block.stopped || block.finished == block.thread_count) break;
        if (block.waiting == block.thread_count)
            open_barrier(block);
        else if (!ran)
            untangle(block);
    }
    if (block.checker) block.checker->lanes_are_level(block);
}

}  // namespace tilewise

using namespace tilewise;

extern "C" {

const Identity* tw_identity() noexcept { return &current->identity; }

int tw_barrier(int predicate, const char* file, int line) noexcept {
    Thread& me = *current;
    Block& block = *me.block;
    me.waits_at = {file, line};
    me.operation = "__syncthreads()";
    if (block.waiting) check_same_barrier(block, me);
    ++block.waiting;
    block.predicates += predicate != 0;
    wait_in(me, State::at_barrier);
    return block.predicates_of_last;
}

void tw_fence() noexcept { current->fenced = true; }

void tw_pause() noexcept { give_way(*current); }

void tw_trap(const char* message, const char* file, int line) noexcept {
    tell("trap", *current, {file, line}, "%s", message);
    abandon_block();
}

}  // extern "C"
