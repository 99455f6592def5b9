// One fiber per CUDA thread: a stack, and a switch from one stack to another.
#pragma once

#include <cstddef>

#if !defined(__x86_64__) && !defined(TW_UCONTEXT)
#define TW_UCONTEXT
#endif
#ifdef TW_UCONTEXT
#include <ucontext.h>
#endif

namespace tilewise {

#ifdef TW_UCONTEXT
using Fiber = ucontext_t;
#else
struct Fiber {
    void* stack_pointer = nullptr;
};
#endif

// Make `fiber` start `entry` on [stack, stack + bytes) when it is first switched to. `entry` must not return.
void prepare(Fiber& fiber, char* stack, size_t bytes, void (*entry)());

// Leave `from` where it stands and go on where `to` was left.
void switch_fiber(Fiber& from, Fiber& to);

}  // namespace tilewise
