// What the compiler calls in a checked build: -fsanitize=thread puts a call before every access to memory, and
// -fsanitize=bounds one where an index leaves its array. The sanitizers' own libraries are not linked.
#include "checker.h"
#include "faults.h"

using namespace tilewise;

static inline void on_access(const void* address, unsigned size, Access access, Place at, bool must_align) {
    Thread* thread = current;
    if (!thread) return;  // host code
    auto* byte = static_cast<const char*>(address);
    // A thread's own variables. The record of the thread lies at the end of its stack, so this covers threadIdx too.
    if (size_t(byte - thread->stack) < stack_bytes) return;
    Checker* checker = thread->block->checker;
    if (checker) checker->access(*thread, byte, size, access, at, must_align);
}

#define CALLER \
    Place { nullptr, 0, __builtin_return_address(0) }

#define TW_ACCESS(size)                                                                                       \
    void __tsan_read##size(void* p) { on_access(p, size, Access::load, CALLER, true); }                       \
    void __tsan_write##size(void* p) { on_access(p, size, Access::store, CALLER, true); }                     \
    void __tsan_volatile_read##size(void* p) { on_access(p, size, Access::load, CALLER, true); }              \
    void __tsan_volatile_write##size(void* p) { on_access(p, size, Access::store, CALLER, true); }            \
    void __tsan_unaligned_read##size(void* p) { on_access(p, size, Access::load, CALLER, false); }            \
    void __tsan_unaligned_write##size(void* p) { on_access(p, size, Access::store, CALLER, false); }          \
    void __tsan_unaligned_volatile_read##size(void* p) { on_access(p, size, Access::load, CALLER, false); }   \
    void __tsan_unaligned_volatile_write##size(void* p) { on_access(p, size, Access::store, CALLER, false); } \
    void __tsan_read_write##size(void* p) {                                                                   \
        on_access(p, size, Access::load, CALLER, true), on_access(p, size, Access::store, CALLER, true);      \
    }                                                                                                         \
    void __tsan_unaligned_read_write##size(void* p) {                                                         \
        on_access(p, size, Access::load, CALLER, false), on_access(p, size, Access::store, CALLER, false);    \
    }

// As long a range as one access may be; a longer one is told piece by piece.
static void on_range(const void* address, size_t bytes, Access access, Place at) {
    auto* byte = static_cast<const char*>(address);
    for (size_t done = 0; done < bytes; done += 16)
        on_access(byte + done, unsigned(min(bytes - done, size_t(16))), access, at, false);
}

extern "C" {

TW_ACCESS(1)
TW_ACCESS(2)
TW_ACCESS(4)
TW_ACCESS(8)
TW_ACCESS(16)

void __tsan_read_range(void* p, size_t bytes) { on_range(p, bytes, Access::load, CALLER); }
void __tsan_write_range(void* p, size_t bytes) { on_range(p, bytes, Access::store, CALLER); }
void __tsan_vptr_update(void** p, void*) { on_access(p, sizeof *p, Access::store, CALLER, true); }
void __tsan_vptr_read(void** p) { on_access(p, sizeof *p, Access::load, CALLER, true); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

void tw_atomic(const void* address, unsigned bytes, const char* file, int line) noexcept {
    Thread* thread = current;
    if (!thread) return;
    on_access(address, bytes, Access::atomic, {file, line}, true);
    // A thread that spins on a flag must let the thread run that sets it.
    if (++thread->atomics % 64 == 0) tw_pause();
}

// The library's own loops over memory are not instrumented. The linker sends a checked kernel's calls to __wrap_...;
// newer clangs call __tsan_... themselves.
#define TW_LOOPS(prefix)                                                \
    void* prefix##memset(void* to, int value, size_t bytes) {           \
        on_range(to, bytes, Access::store, CALLER);                     \
        return std::memset(to, value, bytes);                           \
    }                                                                   \
    void* prefix##memcpy(void* to, const void* from, size_t bytes) {    \
        on_range(from, bytes, Access::load, CALLER);                    \
        on_range(to, bytes, Access::store, CALLER);                     \
        return std::memcpy(to, from, bytes);                            \
    }                                                                   \
    void* prefix##memmove(void* to, const void* from, size_t bytes) {   \
        on_range(from, bytes, Access::load, CALLER);                    \
        on_range(to, bytes, Access::store, CALLER);                     \
        return std::memmove(to, from, bytes);                           \
    }
TW_LOOPS(__wrap_)
TW_LOOPS(__tsan_)

// An assert() in a kernel names its thread instead of ending the process; the linker sends it here in every build.
void __wrap___assert_fail(const char* condition, const char* file, unsigned line, const char* function) {
    if (!current) __assert_fail(condition, file, line, function);
    char message[256];
    std::snprintf(message, sizeof message, "assert(%s) failed", condition);
    tw_trap(message, file, int(line));
}

// What GCC and clang pass on, as far as it is read here.
struct ArrayType {
    std::uint16_t kind, info;
    char name[1];  // "'float [32]'"
};
struct OutOfBounds {
    const char* file;
    std::uint32_t line, column;
    const ArrayType *array, *index;
};

void __ubsan_handle_out_of_bounds(OutOfBounds* data, std::uintptr_t index) {
    Thread* thread = current;
    if (!thread) return;
    tell("out_of_bounds_array", *thread, {data->file, int(data->line)}, "index %lld is outside an array of type %s",
         static_cast<long long>(index), data->array->name);
    abandon_block();
}

}  // extern "C"
