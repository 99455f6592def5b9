#include "fiber.h"

#include <cstdint>

namespace tilewise {

#ifdef TW_UCONTEXT

void prepare(Fiber& fiber, char* stack, size_t bytes, void (*entry)()) {
    getcontext(&fiber);
    fiber.uc_stack.ss_sp = stack;
    fiber.uc_stack.ss_size = bytes;
    fiber.uc_link = nullptr;
    makecontext(&fiber, entry, 0);
}

void switch_fiber(Fiber& from, Fiber& to) { swapcontext(&from, &to); }

#else

// The registers that a function must leave as it found them; whoever calls expects to lose all others.
// rdi: where to keep this stack pointer   rsi: the stack pointer to go on with
extern "C" void tw_switch_stacks(void** keep, void* next);
asm(R"(
.text
.globl tw_switch_stacks
.hidden tw_switch_stacks
.type tw_switch_stacks, @function
tw_switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size tw_switch_stacks, .-tw_switch_stacks
)");

constexpr int saved_registers = 6;

void prepare(Fiber& fiber, char* stack, size_t bytes, void (*entry)()) {
    auto top = reinterpret_cast<std::uintptr_t>(stack + bytes) & ~std::uintptr_t(15);
    auto** slot = reinterpret_cast<void**>(top);
    *--slot = nullptr;  // the return address of `entry`; it also leaves the stack aligned as after a call
    *--slot = reinterpret_cast<void*>(entry);
    for (int i = 0; i < saved_registers; ++i) *--slot = nullptr;
    fiber.stack_pointer = slot;
}

void switch_fiber(Fiber& from, Fiber& to) { tw_switch_stacks(&from.stack_pointer, to.stack_pointer); }

#endif

}  // namespace tilewise
