// Kernels whose traffic has a closed form.
#include "tilewise_cuda.h"

__global__ void copy(const float* x, float* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = x[i];
}

__global__ void copy_strided(const float* x, float* y, int stride) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = x[i * stride];
}

__global__ void copy_float4(const float* x, float* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    reinterpret_cast<float4*>(y)[i] = reinterpret_cast<const float4*>(x)[i];
}

__global__ void copy_half(const __half* x, __half* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = x[i];
}

// Every thread reads one and the same number.
__global__ void broadcast(const float* x, float* y) { y[threadIdx.x] = x[0]; }

// Lanes leave a loop at different times: lane i runs it i + 1 times.
__global__ void triangle(const float* x, float* y) {
    float sum = 0.0f;
    for (int j = 0; j <= int(threadIdx.x); ++j) sum += x[j * 32 + threadIdx.x];
    y[threadIdx.x] = sum;
}

__global__ void transpose_naive(const float* x, float* y, int n) {
    int column = blockIdx.x * 32 + threadIdx.x, row = blockIdx.y * 32 + threadIdx.y;
    y[column * n + row] = x[row * n + column];
}

template <int padding>
__device__ void transpose_tile(const float* x, float* y, int n) {
    __shared__ float tile[32][32 + padding];
    int column = blockIdx.x * 32 + threadIdx.x, row = blockIdx.y * 32 + threadIdx.y;
    tile[threadIdx.y][threadIdx.x] = x[row * n + column];
    __syncthreads();  // the tile must have landed before its columns are read
    int column_out = blockIdx.y * 32 + threadIdx.x, row_out = blockIdx.x * 32 + threadIdx.y;
    y[row_out * n + column_out] = tile[threadIdx.x][threadIdx.y];
}
__global__ void transpose(const float* x, float* y, int n) { transpose_tile<0>(x, y, n); }
__global__ void transpose_padded(const float* x, float* y, int n) { transpose_tile<1>(x, y, n); }

// One warp; lane i reads a float4 that begins at word i * stride of shared memory.
__global__ void shared_float4(float* y, int stride) {
    TW_DYNAMIC_SHARED(float, s);
    for (int i = threadIdx.x; i < 32 * stride; i += 32) s[i] = 1.0f;
    __syncthreads();  // all of s must have landed
    reinterpret_cast<float4*>(y)[threadIdx.x] = *reinterpret_cast<float4*>(s + threadIdx.x * stride);
}

__global__ void count_by_atomics(unsigned* count) { atomicAdd(count, 1); }
