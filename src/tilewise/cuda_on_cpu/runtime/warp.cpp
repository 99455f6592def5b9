// The meeting of the lanes of a mask, which every shuffle, vote and __syncwarp() is.
#include "block.h"
#include "checker.h"
#include "faults.h"

namespace tilewise {

static unsigned existing_lanes(const Block& block, unsigned warp) {
    unsigned left = block.thread_count - warp * lanes_of_warp;
    return left >= lanes_of_warp ? ~0u : (1u << left) - 1;
}

static Meeting& meeting_of(Warp& warp, unsigned mask) { return warp.meetings[__builtin_ctz(mask)]; }

[[noreturn]] static void refuse_mask(const Thread& me, Warp& warp) {
    if (!(me.mask >> me.identity.lane & 1)) {
        tell("wrong_mask", me, me.waits_at, "%s: lane %u is not in its own mask 0x%08x", me.operation, me.identity.lane,
             me.mask);
        abandon_block();
    }
    for (Meeting& other : warp.meetings) {
        if (!other.arrived || !(other.mask & me.mask)) continue;
        tell_pair("wrong_mask", me, me.waits_at, *other.first, other.first->waits_at,
                  "%s with mask 0x%08x, while lane %u of the same warp waits in %s with mask 0x%08x: "
                  "masks in use at one time are equal or have no lane in common",
                  me.operation, me.mask, other.first->identity.lane, other.first->operation, other.mask);
        abandon_block();
    }
    __builtin_unreachable();
}

static void check_same_operation(const Thread& me, const Thread& first) {
    if (me.operation == first.operation && same_place(me.waits_at, first.waits_at)) return;
    tell_pair("wrong_mask", me, me.waits_at, first, first.waits_at,
              "%s with mask 0x%08x, but lane %u of that mask waits in another %s: "
              "all lanes of a mask execute the same operation",
              me.operation, me.mask, first.identity.lane, first.operation);
    abandon_block();
}

static void close_meeting(Block& block, unsigned warp_number, Meeting& meeting) {
    block.warps[warp_number].ready |= meeting.arrived;
    block.warps[warp_number].expected &= ~meeting.mask;
    meeting.arrived = 0;
}

bool excuse_finished_lanes(Thread& waiting) {
    if (waiting.order != Order::memory) return false;
    Block& block = *waiting.block;
    Meeting& meeting = meeting_of(block.warps[waiting.warp()], waiting.mask);
    for (unsigned lane = 0; lane < lanes_of_warp; ++lane) {
        bool missing = (meeting.mask & ~meeting.arrived) >> lane & 1;
        if (missing && block.lane_or_null(waiting.warp(), lane)->state != State::finished) return false;
    }
    if (block.checker) block.checker->lanes_met(block, waiting.warp(), meeting.arrived, true);
    close_meeting(block, waiting.warp(), meeting);
    return true;
}

void tell_missing_lanes(const Block& block, const Thread& waiting) {
    const Meeting& meeting = block.warps[waiting.warp()].meetings[__builtin_ctz(waiting.mask)];
    unsigned missing = meeting.mask & ~meeting.arrived;
    const Thread& absent = *block.lane_or_null(waiting.warp(), unsigned(__builtin_ctz(missing)));
    const char* kind = waiting.order == Order::memory ? "deadlock" : "wrong_mask";
    if (absent.state == State::finished)
        tell_pair(kind, waiting, waiting.waits_at, absent, {},
                  "%s with mask 0x%08x waits for lanes 0x%08x of that mask, which have returned without it",
                  waiting.operation, waiting.mask, missing);
    else
        tell_pair(kind, waiting, waiting.waits_at, absent, absent.waits_at,
                  "%s with mask 0x%08x waits for lanes 0x%08x of that mask; lane %u waits in %s instead",
                  waiting.operation, waiting.mask, missing, absent.identity.lane, absent.operation);
}

}  // namespace tilewise

using namespace tilewise;

extern "C" {

void tw_meet(unsigned mask, void* argument, Combine combine, Order order, const char* operation, const char* file,
             int line) noexcept {
    Thread& me = *current;
    Block& block = *me.block;
    Warp& warp = block.warps[me.warp()];
    me.mask = mask & existing_lanes(block, me.warp());
    me.order = order;
    me.operation = operation;
    me.waits_at = {file, line};
    if (!(me.mask >> me.identity.lane & 1)) refuse_mask(me, warp);
    Meeting& meeting = meeting_of(warp, me.mask);
    if (meeting.arrived && meeting.mask == me.mask) {
        check_same_operation(me, *meeting.first);
    } else {
        if (warp.expected & me.mask) refuse_mask(me, warp);
        meeting.mask = me.mask;
        meeting.first = &me;
        warp.expected |= me.mask;
    }
    meeting.arrived |= 1u << me.identity.lane;
    warp.arguments[me.identity.lane] = argument;
    if (meeting.arrived != meeting.mask) {
        wait_in(me, State::at_warp);
        return;
    }
    if (combine) combine(warp.arguments, meeting.mask);
    if (block.checker) block.checker->lanes_met(block, me.warp(), meeting.mask, order == Order::memory);
    close_meeting(block, me.warp(), meeting);
}

void tw_bad_source(unsigned lane, unsigned source, unsigned mask) noexcept {
    const Thread& reader = *current->block->lane_or_null(current->warp(), lane);
    unsigned lanes = unsigned(__builtin_popcount(existing_lanes(*current->block, current->warp())));
    if (source < lanes)
        tell("wrong_mask", reader, reader.waits_at, "%s reads from lane %u, which is not in the mask 0x%08x",
             reader.operation, source, mask);
    else
        tell("wrong_mask", reader, reader.waits_at,
             "%s with mask 0x%08x reads from lane %u, which does not exist: the block has %u lanes in this warp",
             reader.operation, mask, source, lanes);
    abandon_block();
}

unsigned tw_active_mask() noexcept {
    unsigned active = 0;
    for (unsigned lane = 0; lane < lanes_of_warp; ++lane) {
        const Thread* other = current->block->lane_or_null(current->warp(), lane);
        if (other && other->state != State::finished) active |= 1u << lane;
    }
    return active;
}

}  // extern "C"
