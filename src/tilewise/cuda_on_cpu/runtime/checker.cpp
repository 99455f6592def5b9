#include "checker.h"

#include <algorithm>

#include "faults.h"

namespace tilewise {

void Checker::begin_launch(const Launch& launch, const Module& module, unsigned first_serial) {
    launch_ = &launch;
    module_ = module;
    arrays_ = static_shared(launch.kernel);
    add_variables(launch, module);
    first_serial_ = first_serial;  // what was done before this launch is ordered before it
    last_ = nullptr;
    told_.clear();
    handed_on_.clear();
}

void Checker::begin_block(const Block& block) {
    taken_.clear();
    dynamic_shared_.cover(block.dynamic_shared, launch_->shared_bytes);
    static_shared_.cover(block.static_shared, block.static_bytes);
}

void Checker::forget() {
    meter.clear();
    told_.clear();
}

static bool inside(const char* address, unsigned size, const char* begin, const char* end) {
    return address >= begin && address + size <= end;
}

bool Checker::in_static_shared(const Block& block, const char* address, unsigned size) const {
    if (!inside(address, size, block.static_shared, block.static_shared + block.static_bytes)) return false;
    size_t offset = size_t(address - block.static_shared);
    auto holds = [&](const Variable& v) { return offset >= v.begin && offset + size <= v.begin + v.bytes; };
    return !arrays_ || std::any_of(arrays_->begin(), arrays_->end(), holds);
}

// -> the shadow of shared or global memory; null for memory without one; refuses what is neither
Shadow* Checker::shadow_of(const Thread& thread, const char* address, unsigned size, Space& space) {
    const Block& block = *thread.block;
    space = Space::shared;
    if (inside(address, size, block.dynamic_shared, block.dynamic_shared + launch_->shared_bytes))
        return &dynamic_shared_;
    if (in_static_shared(block, address, size)) return &static_shared_;
    space = Space::global;
    if (!last_ || !inside(address, size, last_->begin, last_->begin + last_->bytes)) last_ = allocation_at(address);
    if (last_ && address + size <= last_->begin + last_->bytes) return &last_->shadow;
    return nullptr;
}

void Checker::access(Thread& thread, const char* address, unsigned size, Access access, Place at, bool must_align) {
    Space space;
    Shadow* shadow = shadow_of(thread, address, size, space);
    if (!shadow) {
        auto* arguments = static_cast<const char*>(launch_->arguments);
        bool constant = inside(address, size, arguments, arguments + launch_->argument_bytes) ||
                        inside(address, size, module_.constants, module_.constants_end) ||
                        (inside(address, size, module_.begin, module_.end) &&
                         !inside(address, size, module_.variables, module_.variables_end));
        if (constant) return;
        tell_outside(thread, address, size, access, at);
        abandon_block();  // nothing that this function holds would be given back
    }
    if (must_align && reinterpret_cast<std::uintptr_t>(address) % size) {
        tell("misaligned", thread, at, "%s of %u bytes at an address that is %u bytes past a multiple of %u",
             access == Access::load ? "load" : "store", size,
             unsigned(reinterpret_cast<std::uintptr_t>(address) % size), size);
        abandon_block();
    }
    unsigned site = meter.site(at, access, space);
    meter.note(thread, site, address, size);
    if (access == Access::atomic) pass_on(thread, address);
    shadow->each(address, size, [&](Cell& cell) { check_cell(thread, cell, access, space, site); });
}

void Checker::check_cell(Thread& thread, Cell& cell, Access access, Space space, unsigned site) {
    const Block& block = *thread.block;
    Stamp now{block.serial, block.epoch, thread.knows[thread.identity.lane], std::uint16_t(thread.number),
              std::uint16_t(site)};
    if (space == Space::shared && access != Access::store && cell.write.block != block.serial)
        note_uninitialised(thread, site);
    bool both_atomic =
        access == Access::atomic && cell.write.block && meter.tally(cell.write.site).access == Access::atomic;
    if (!both_atomic && !ordered(cell.write, thread, space)) tell_race(thread, cell.write, site, space);
    if (access == Access::load) {
        // Forget the reader that matters less: this thread's own earlier read, or one that is ordered before this.
        bool second = cell.reads[1].block == now.block && cell.reads[1].thread == now.thread;
        bool first = cell.reads[0].block == now.block && cell.reads[0].thread == now.thread;
        if (!first && !second) second = !ordered(cell.reads[0], thread, space);
        cell.reads[second] = now;
        return;
    }
    for (const Stamp& read : cell.reads)
        if (!ordered(read, thread, space)) tell_race(thread, read, site, space);
    cell.write = now;
}

bool Checker::ordered(const Stamp& past, const Thread& now, Space space) const {
    const Block& block = *now.block;
    if (past.block < first_serial_) return true;
    // Shared memory is each block's own, though blocks that run one after the other have it at the same addresses.
    if (past.block != block.serial) return space == Space::shared || taken_.count(past.block) != 0;
    if (past.thread == now.number || past.epoch < block.epoch) return true;
    if (past.thread / lanes_of_warp != now.warp()) return false;
    return now.knows[past.thread % lanes_of_warp] >= past.clock;
}

void Checker::lanes_met(Block& block, unsigned warp, unsigned mask, bool memory) {
    unsigned existing = min(block.thread_count - warp * lanes_of_warp, lanes_of_warp);
    if (unsigned(__builtin_popcount(mask)) == existing) meter.settle(warp);
    if (!memory) return;
    unsigned all[lanes_of_warp] = {};
    for (unsigned lane = 0; lane < existing; ++lane)
        if (mask >> lane & 1)
            for (unsigned of = 0; of < lanes_of_warp; ++of)
                all[of] = max(all[of], block.lane_or_null(warp, lane)->knows[of]);
    for (unsigned lane = 0; lane < existing; ++lane) {
        if (!(mask >> lane & 1)) continue;
        unsigned* knows = block.lane_or_null(warp, lane)->knows;
        std::memcpy(knows, all, sizeof all);
        ++knows[lane];
    }
}

void Checker::lanes_are_level(const Block& block) {
    for (unsigned warp = 0; warp < block.warp_count(); ++warp) meter.settle(warp);
}

void Checker::pass_on(Thread& thread, const char* address) {
    auto& blocks = handed_on_[address];
    taken_.insert(blocks.begin(), blocks.end());
    if (thread.fenced) blocks.insert(thread.block->serial);
}

bool Checker::first_time(unsigned a, unsigned b, bool same_block) {
    return told_.insert(std::uint64_t(min(a, b)) << 32 | std::uint64_t(max(a, b)) << 1 | same_block).second;
}

static uint3 unfold(unsigned number, dim3 size) {
    return {number % size.x, number / size.x % size.y, number / (size.x * size.y)};
}

static const char* verb(Access access) {
    return access == Access::load ? "reads" : access == Access::store ? "writes" : "updates atomically";
}

void Checker::tell_race(const Thread& thread, const Stamp& past, unsigned site, Space space) {
    unwritten_.erase(past.site);
    if (!first_time(past.site, site, past.block == thread.block->serial)) return;
    const Tally &now = meter.tally(site), &before = meter.tally(past.site);
    uint3 block = unfold(past.block - first_serial_, launch_->grid);
    uint3 other = unfold(past.thread, launch_->block);
    if (past.block != thread.block->serial)
        tell_pair("race_between_blocks", thread, now.at, block, other, before.at,
                  "a thread %s global memory that a thread of another block %s in the same launch; "
                  "blocks run in any order, so use an atomic or give each block its own place",
                  verb(now.access), verb(before.access));
    else
        tell_pair(space == Space::shared ? "race_shared" : "race_global", thread, now.at, block, other, before.at,
                  "a thread %s %s memory that another thread of its block %s, and no barrier stands between",
                  verb(now.access), space == Space::shared ? "shared" : "global", verb(before.access));
}

void Checker::note_uninitialised(const Thread& thread, unsigned site) {
    unwritten_.try_emplace(site, thread.identity.block, thread.identity.thread);
}

void Checker::end_launch() {
    for (auto& [site, who] : unwritten_)
        tell("uninitialised_shared", who.first, who.second, meter.tally(site).at,
             "a thread reads shared memory that no thread of its block has written");
    unwritten_.clear();
}

// How far an access lies outside, in words: "4 bytes past the end".
static void describe(char* text, size_t room, const char* address, unsigned size, const char* begin, size_t bytes) {
    if (address < begin)
        std::snprintf(text, room, "%zu bytes before the beginning", size_t(begin - address));
    else
        std::snprintf(text, room, "%zu bytes past the end", size_t(address + size - begin) - bytes);
}

void Checker::tell_outside(const Thread& thread, const char* address, unsigned size, Access access, Place at) const {
    const Block& block = *thread.block;
    struct Range {
        std::string name;
        const char* begin;
        size_t bytes;
        bool shared;
    };
    std::vector<Range> ranges{{"dynamic shared memory", block.dynamic_shared, launch_->shared_bytes, true}};
    if (arrays_)
        for (const Variable& array : *arrays_)
            ranges.push_back({"__shared__ " + array.name, block.static_shared + array.begin, array.bytes, true});
    else
        ranges.push_back({"static shared memory", block.static_shared, block.static_bytes, true});
    auto away = [&](const Range& range) { return distance(address, range.begin, range.bytes); };
    auto meant = [&](const Range& range) {
        bool dynamic = range.begin == block.dynamic_shared;
        // There is room for the most that a launch may have, also where this one asked for less, or forgot to.
        size_t reach = dynamic && address >= range.begin ? most_shared_bytes : margin;
        return (range.bytes || dynamic) && away(range) < reach;
    };
    ranges.erase(std::partition(ranges.begin(), ranges.end(), meant), ranges.end());
    if (Allocation* near = nearest_allocation(address)) ranges.push_back({near->name, near->begin, near->bytes, false});
    auto nearest = std::min_element(ranges.begin(), ranges.end(),
                                    [&](const Range& a, const Range& b) { return away(a) < away(b); });
    bool shared = nearest != ranges.end() && nearest->shared;
    const char* what = access == Access::load ? "load" : access == Access::store ? "store" : "atomic";
    const char* kind = shared ? "out_of_bounds_shared" : "out_of_bounds_global";
    char where[64];
    if (reinterpret_cast<std::uintptr_t>(address) < 4096)
        tell(kind, thread, at, "%s of %u bytes through a null pointer", what, size);
    else if (nearest == ranges.end())
        tell(kind, thread, at, "%s of %u bytes at an address that belongs to no buffer, nor lies near one", what, size);
    else if (!nearest->bytes)
        tell(kind, thread, at, "%s of %u bytes in %s, of which this launch has none: its shared_bytes is 0", what, size,
             nearest->name.c_str());
    else
        describe(where, sizeof where, address, size, nearest->begin, nearest->bytes),
            tell(kind, thread, at, "%s of %u bytes reaches %s of %s (%zu bytes)", what, size, where,
                 nearest->name.c_str(), nearest->bytes);
}

}  // namespace tilewise
