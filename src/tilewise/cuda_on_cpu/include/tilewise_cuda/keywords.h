// What nvcc's keywords mean to an ordinary compiler.
#pragma once

#define __global__
#define __device__
#define __host__
#define __managed__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __forceinline__ inline __attribute__((always_inline))

// The standard library writes __attribute__((__noinline__)): only an empty word serves there and before a function.
#define __noinline__

// A block never leaves the operating-system thread that runs it, so its static shared memory is thread-local storage.
// Nothing else of a kernel file may be thread-local: the runtime takes the whole segment for shared memory.
#define __shared__ static thread_local
#define __constant__ __attribute__((section("tw_constant")))

#if defined(__SANITIZE_THREAD__)
#define TW_CHECKED true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TW_CHECKED true
#endif
#endif
#ifndef TW_CHECKED
#define TW_CHECKED false
#endif

// The executor's own code: it may touch what a kernel may not, and is neither checked nor counted. (clang's no_sanitize
// alone keeps it from being inlined into what is checked, but leaves its atomics checked.)
#if defined(__clang__)
#define TW_UNCHECKED __attribute__((no_sanitize("thread"), disable_sanitizer_instrumentation))
#else
#define TW_UNCHECKED __attribute__((no_sanitize("thread")))
#endif

// Where the caller stands in the source, as the last two arguments of a function.
#define TW_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()
