// Who a thread is, its shared memory, and the barriers of its block. What is only declared here lives in the runtime.
#pragma once

namespace tilewise {

// What a kernel may ask about the thread that it runs in. The runtime keeps it beside the thread's stack.
struct Identity {
    uint3 thread, block;
    dim3 block_size, grid_size;
    unsigned lane;
    char* dynamic_shared;
};

}  // namespace tilewise

extern "C" {
// A fiber stays the same thread from its first line to its last: the compiler may ask once and keep the answer.
const tilewise::Identity* tw_identity() noexcept __attribute__((const));
// Wait for the whole block. -> in how many threads the predicate was not 0
int tw_barrier(int predicate, const char* file, int line) noexcept;
void tw_fence() noexcept;
void tw_pause() noexcept;
[[noreturn]] void tw_trap(const char* message, const char* file, int line) noexcept;
}

#define threadIdx (tw_identity()->thread)
#define blockIdx (tw_identity()->block)
#define blockDim (tw_identity()->block_size)
#define gridDim (tw_identity()->grid_size)
constexpr int warpSize = 32;  // no macro: cudaDeviceProp has a field of this name

#define TW_DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(tw_identity()->dynamic_shared)

inline void __syncthreads(TW_HERE) { tw_barrier(0, file, line); }
inline int __syncthreads_count(int predicate, TW_HERE) { return tw_barrier(predicate, file, line); }
inline int __syncthreads_or(int predicate, TW_HERE) { return tw_barrier(predicate, file, line) != 0; }
inline int __syncthreads_and(int predicate, TW_HERE) { return tw_barrier(!predicate, file, line) == 0; }

inline void __threadfence() { tw_fence(); }
inline void __threadfence_block() { tw_fence(); }
inline void __threadfence_system() { tw_fence(); }
inline void __nanosleep(unsigned) { tw_pause(); }
inline void __trap(TW_HERE) { tw_trap("__trap()", file, line); }
