#include "faults.h"

#include <dlfcn.h>

#include <cstdarg>
#include <mutex>
#include <vector>

namespace tilewise {

static std::mutex records_lock;  // blocks run on several operating-system threads
static std::vector<FaultRecord> records;

bool same_place(const Place& a, const Place& b) {
    return a.line == b.line && (a.file == b.file || (a.file && b.file && std::strcmp(a.file, b.file) == 0));
}

static void add(FaultRecord record, const char* format, va_list arguments) {
    std::vsnprintf(record.message, sizeof record.message, format, arguments);
    std::lock_guard<std::mutex> hold(records_lock);
    if (records.size() < most_faults) records.push_back(record);
}

static FaultRecord about(const char* kind, uint3 block, uint3 thread, Place at) {
    FaultRecord record{};
    record.kind = kind;
    record.at = at;
    record.block = block;
    record.thread = thread;
    record.has_thread = 1;
    return record;
}

void tell(const char* kind, uint3 block, uint3 thread, Place at, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(about(kind, block, thread, at), format, arguments);
    va_end(arguments);
}

void tell(const char* kind, const Thread& thread, Place at, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(about(kind, thread.identity.block, thread.identity.thread, at), format, arguments);
    va_end(arguments);
}

static FaultRecord about_two(const char* kind, const Thread& thread, Place at, uint3 block, uint3 other,
                             Place other_at) {
    FaultRecord record = about(kind, thread.identity.block, thread.identity.thread, at);
    record.other_at = other_at;
    record.other_block = block;
    record.other_thread = other;
    record.has_other = 1;
    return record;
}

void tell_pair(const char* kind, const Thread& thread, Place at, const Thread& other, Place other_at,
               const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(about_two(kind, thread, at, other.identity.block, other.identity.thread, other_at), format, arguments);
    va_end(arguments);
}

void tell_pair(const char* kind, const Thread& thread, Place at, uint3 other_block, uint3 other_thread, Place other_at,
               const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(about_two(kind, thread, at, other_block, other_thread, other_at), format, arguments);
    va_end(arguments);
}

void tell_launch(const char* kind, Place at, const char* format, ...) {
    FaultRecord record{};
    record.kind = kind;
    record.at = at;
    va_list arguments;
    va_start(arguments, format);
    add(record, format, arguments);
    va_end(arguments);
}

static const Thread* first_in(const Block& block, State state) {
    for (unsigned i = 0; i < block.thread_count; ++i)
        if (block.threads[i]->state == state) return block.threads[i];
    return nullptr;
}

void check_same_barrier(const Block& block, const Thread& me) {
    const Thread& waiting = *first_in(block, State::at_barrier);
    if (same_place(me.waits_at, waiting.waits_at)) return;
    tell_pair("divergent_barrier", me, me.waits_at, waiting, waiting.waits_at,
              "threads of one block wait at different __syncthreads(): the block must reach the same one together");
    abandon_block();
}

void tell_missed_barrier(const Block& block) {
    const Thread& waiting = *first_in(block, State::at_barrier);
    const Thread& gone = *first_in(block, State::finished);
    tell_pair(
        "missed_barrier", waiting, waiting.waits_at, gone, {},
        "__syncthreads() is reached by %u of %u threads; the others, such as thread (%u, %u, %u), returned before it",
        block.waiting, block.thread_count, gone.identity.thread.x, gone.identity.thread.y, gone.identity.thread.z);
}

}  // namespace tilewise

using namespace tilewise;

extern "C" {

size_t tw_fault_count() noexcept { return records.size(); }
const FaultRecord* tw_fault(size_t number) noexcept { return &records[number]; }
void tw_forget_faults() noexcept { records.clear(); }

// For Python: where in its file on disk an address of machine code lies. -> null when it is nowhere
const char* tw_locate(const void* code, size_t* offset) noexcept {
    Dl_info found;
    if (!dladdr(code, &found)) return nullptr;
    *offset = size_t(static_cast<const char*>(code) - static_cast<const char*>(found.dli_fbase));
    return found.dli_fname;
}

}  // extern "C"
