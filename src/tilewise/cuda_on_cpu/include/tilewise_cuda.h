// The one header of a kernel file. nvcc sees CUDA's own headers; g++ and clang++ see an execution of CUDA on a CPU.
//
//   TW_LAUNCH(kernel, grid, block, shared_bytes, stream)(arguments...)   put (kernel<64, 32>) into parentheses
//   TW_DYNAMIC_SHARED(float, tile);                                      declares float* tile, at most once a kernel
//
// Everything else is plain CUDA C++.
#pragma once

#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#ifdef __CUDACC__

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define TW_LAUNCH(kernel, grid, block, shared_bytes, stream) kernel<<<(grid), (block), (shared_bytes), (stream)>>>
#define TW_DYNAMIC_SHARED(type, name)                                 \
    extern __shared__ __align__(128) unsigned char tw_shared_bytes[]; \
    type* name = reinterpret_cast<type*>(tw_shared_bytes)

#else

#include "tilewise_cuda/keywords.h"
#include "tilewise_cuda/vectors.h"
#include "tilewise_cuda/runtime_calls.h"
#include "tilewise_cuda/threads.h"
#include "tilewise_cuda/warp.h"
#include "tilewise_cuda/atomics.h"
#include "tilewise_cuda/mathematics.h"
#include "tilewise_cuda/half.h"
#include "tilewise_cuda/launch.h"

#endif
