// The checked build: every access of a kernel comes by here before it happens.
#pragma once

#include <map>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "memory.h"
#include "meter.h"

namespace tilewise {

class Checker {
public:
    void begin_launch(const Launch& launch, const Module& module, unsigned first_serial);
    void begin_block(const Block& block);
    void end_launch();

    void access(Thread& thread, const char* address, unsigned size, Access access, Place at, bool must_align);

    // Lanes that met: in a memory barrier they learn what the others did.
    void lanes_met(Block& block, unsigned warp, unsigned mask, bool memory);
    // All threads of a block stand at one point.
    void lanes_are_level(const Block& block);

    Meter meter;
    void forget();

private:
    Shadow* shadow_of(const Thread& thread, const char* address, unsigned size, Space& space);
    void check_cell(Thread& thread, Cell& cell, Access access, Space space, unsigned site);
    bool ordered(const Stamp& past, const Thread& now, Space space) const;
    void tell_race(const Thread& thread, const Stamp& past, unsigned site, Space space);
    void note_uninitialised(const Thread& thread, unsigned site);
    void pass_on(Thread& thread, const char* address);
    void tell_outside(const Thread& thread, const char* address, unsigned size, Access access, Place at) const;
    bool first_time(unsigned a, unsigned b, bool same_block);
    bool in_static_shared(const Block& block, const char* address, unsigned size) const;

    const Launch* launch_ = nullptr;
    Module module_;
    const std::vector<Variable>* arrays_ = nullptr;  // static shared memory of the kernel; null: not known
    unsigned first_serial_ = 1;
    Shadow dynamic_shared_, static_shared_;
    Allocation* last_ = nullptr;
    std::unordered_set<std::uint64_t> told_;
    // Reads of what nobody had written, by instruction. They wait for the end of the launch: where a write comes later
    // with no barrier between, the race is the fault.
    std::map<unsigned, std::pair<uint3, uint3>> unwritten_;
    // __threadfence() and an atomic hand on what a block wrote; an atomic on the same address takes it.
    std::unordered_map<const char*, std::unordered_set<unsigned>> handed_on_;
    std::unordered_set<unsigned> taken_;  // the blocks whose writes this one has taken
};

}  // namespace tilewise
