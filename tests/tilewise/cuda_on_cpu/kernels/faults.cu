// One kernel for each kind of fault, with exactly that fault. The line that is to be named ends in FAULT, the other
// side of the fault in OTHER; a comment says how a launch of it looks.
#include "tilewise_cuda.h"

// divergent_barrier <<<1, 64>>>: the two halves of a block wait at different barriers.
__global__ void divergent_barrier(float* x) {
    if (threadIdx.x < 32) {
        x[threadIdx.x] = 1.0f;
        __syncthreads();  // OTHER
    } else {
        x[threadIdx.x] = 2.0f;
        __syncthreads();  // FAULT
    }
}

// missed_barrier <<<1, 64>>>: threads past the end return, and the others wait for them.
__global__ void missed_barrier(float* x, int n) {
    int i = threadIdx.x;
    if (i >= n) return;
    x[i] = 1.0f;
    __syncthreads();  // FAULT
    x[i] += 1.0f;
}

// missed_barrier <<<1, 64>>>: only half of the block is sent to the barrier.
__global__ void skipped_barrier(float* x) {
    if (threadIdx.x < 32) __syncthreads();  // FAULT
    x[threadIdx.x] = 1.0f;
}

// wrong_mask <<<1, 32>>>: half a warp shuffles, with the mask of a whole one.
__global__ void mask_too_wide(float* x) {
    int i = threadIdx.x;
    float v = float(i);
    if (i < 16) v += __shfl_xor_sync(0xffffffffu, v, 1);  // FAULT
    x[i] = v;
}

// wrong_mask <<<1, 32>>>: a lane outside the mask takes part.
__global__ void mask_without_itself(float* x) {
    int i = threadIdx.x;
    x[i] = __shfl_xor_sync(0x0000ffffu, float(i), 1);  // FAULT
}

// wrong_mask <<<1, 32>>>: a lane asks for the value of one that is not in the mask.
__global__ void source_outside_mask(float* x) {
    int i = threadIdx.x;
    if (i < 16) x[i] = __shfl_sync(0x0000ffffu, float(i), 16);  // FAULT
}

// wrong_mask <<<1, 16>>>: a lane asks for the value of one that the block does not have.
__global__ void source_beyond_the_block(float* x) {
    int i = threadIdx.x;
    x[i] = __shfl_sync(0xffffffffu, float(i), 16);  // FAULT
}

// wrong_mask <<<1, 32>>>: two halves of a warp shuffle at different lines, each with the mask of the whole.
__global__ void shuffles_apart(float* x) {
    int i = threadIdx.x;
    float v = float(i);
    if (i < 16)
        v = __shfl_xor_sync(0xffffffffu, v, 1);  // OTHER
    else
        v = __shfl_xor_sync(0xffffffffu, v, 2);  // FAULT
    x[i] = v;
}

// deadlock <<<1, 32>>>: half a warp waits for the other half, which waits for the block.
__global__ void deadlock(float* x) {
    int i = threadIdx.x;
    if (i < 16)
        __syncwarp();  // FAULT
    else
        __syncthreads();  // OTHER
    x[i] = 1.0f;
}

// out_of_bounds_global <<<1, 32>>> with 32 numbers
__global__ void global_past_the_end(const float* x, float* y) {
    int i = threadIdx.x;
    y[i] = x[i + 1];  // FAULT
}

// out_of_bounds_global <<<1, 32>>> with 32 numbers
__global__ void global_before_the_beginning(float* y) {
    int i = threadIdx.x;
    y[i - 1] = 0.0f;  // FAULT
}

// out_of_bounds_global <<<1, 32>>> with null
__global__ void null_pointer(const float* x, float* y) {
    y[threadIdx.x] = x[threadIdx.x];  // FAULT
}

// out_of_bounds_global <<<1, 1>>> with 6 numbers: the access begins inside.
__global__ void vector_across_the_end(const float* x, float* y) {
    float4 v = reinterpret_cast<const float4*>(x)[1];  // FAULT
    y[0] = v.x;
}

// out_of_bounds_global <<<1, 1>>>: an index that is wrong by far.
__global__ void global_far_away(const float* x, float* y, long long i) {
    y[0] = x[i];  // FAULT
}

// out_of_bounds_shared <<<1, 32, 128>>>
__global__ void dynamic_shared_past_the_end(float* y) {
    TW_DYNAMIC_SHARED(float, s);
    s[threadIdx.x] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x + 1];  // FAULT
}

// out_of_bounds_shared <<<1, 32>>>: the launch forgot to ask for the dynamic shared memory.
__global__ void dynamic_shared_forgotten(float* y) {
    TW_DYNAMIC_SHARED(float, s);
    s[threadIdx.x] = 1.0f;  // FAULT
    __syncthreads();
    y[threadIdx.x] = s[31 - threadIdx.x];
}

// out_of_bounds_shared <<<1, 32>>>, in a template and by one element: the array's type knows its end.
template <int size>
__device__ float neighbour() {
    __shared__ float s[size];
    s[threadIdx.x] = 1.0f;
    __syncthreads();
    return s[threadIdx.x + 1];  // FAULT
}
__global__ void static_shared_past_the_end(float* y) { y[threadIdx.x] = neighbour<32>(); }

// out_of_bounds_shared <<<1, 32>>>: through a pointer, which knows no end; another kernel's memory lies behind it.
__global__ void static_shared_through_a_pointer(float* y) {
    __shared__ float s[32];
    float* p = s;
    p[threadIdx.x] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = p[threadIdx.x + 1];  // FAULT
}

// out_of_bounds_global <<<1, 32>>>: the index of an array that all kernels share.
__device__ float shared_by_kernels[16];
__global__ void device_array_past_the_end(float* y) {
    y[threadIdx.x] = shared_by_kernels[threadIdx.x];  // FAULT
}

// out_of_bounds_global <<<1, 32>>>: the same through a pointer, and past all variables of the file.
__global__ void device_array_through_a_pointer(float* y) {
    const float* p = shared_by_kernels;
    y[threadIdx.x] = p[threadIdx.x * 4096];  // FAULT
}

// out_of_bounds_array <<<1, 32>>>
__global__ void own_array_past_the_end(float* y, int n) {
    float row[4] = {};
    for (int d = 0; d < n; ++d) row[d] += float(d);  // FAULT
    y[threadIdx.x] = row[threadIdx.x % 4];
}

// misaligned <<<1, 1>>>
__global__ void misaligned(const float* x, float* y) {
    float4 v = *reinterpret_cast<const float4*>(x + 1);  // FAULT
    y[0] = v.x + v.w;
}

// uninitialised_shared <<<1, 32>>>: half of what is read was never written.
__global__ void uninitialised_shared(float* y) {
    __shared__ float s[32];
    int i = threadIdx.x;
    if (i < 16) s[i] = 1.0f;
    __syncthreads();
    y[i] = s[i];  // FAULT
}

// race_shared <<<1, 64>>>: a barrier is missing between write and read.
__global__ void race_shared(float* y) {
    __shared__ float s[64];
    int i = threadIdx.x;
    s[i] = float(i);   // OTHER
    y[i] = s[63 - i];  // FAULT
}

// race_shared <<<1, 64>>>: the tile is overwritten before all have read it.
__global__ void race_of_the_next_tile(const float* x, float* y) {
    __shared__ float s[64];
    int i = threadIdx.x;
    float sum = 0.0f;
    for (int tile = 0; tile < 2; ++tile) {
        s[i] = x[tile * 64 + i];  // FAULT
        __syncthreads();
        for (int j = 0; j < 64; ++j) sum += s[j];  // OTHER
    }
    y[i] = sum;
}

// race_shared <<<1, 32>>>: lanes of one warp need __syncwarp(); a shuffle orders no memory.
__global__ void race_within_a_warp(float* y) {
    __shared__ float s[32];
    int i = threadIdx.x;
    s[i] = float(i);  // OTHER
    float v = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
    y[i] = v + s[31 - i];  // FAULT
}

// race_global <<<1, 64>>>
__global__ void race_global(float* y) {
    int i = threadIdx.x;
    y[i] = float(i);              // OTHER
    y[64 + i] = y[(i + 1) % 64];  // FAULT
}

// race_between_blocks <<<8, 32>>>: every block adds to the same numbers.
__global__ void race_between_blocks(float* y) {
    y[threadIdx.x] += 1.0f;  // FAULT OTHER
}

// race_between_blocks <<<8, 1>>>: a variable of the file is global memory as any other.
__device__ int blocks_seen;
__global__ void race_for_a_variable(float* y) {
    *y = 0.0f * float(blocks_seen++);  // FAULT OTHER
}

// race_global and race_between_blocks <<<2, 32>>>
__global__ void histogram_without_atomics(int* bins) {
    bins[threadIdx.x % 4] += 1;  // FAULT
}

// too_many_threads <<<1, 2048>>>, too_much_shared_memory <<<1, 32, 100000>>>, invalid_launch <<<0, 32>>>
__global__ void writes_nothing(float* x, int n) {
    if (n) x[0] = 0.0f;
}

// trap <<<1, 32>>>
__global__ void trap(float* y, int n) {
    assert(int(threadIdx.x) < n);  // FAULT
    y[threadIdx.x] = 1.0f;
}
