// What CUDA C++ the executor understands; each kernel writes what a test can compute by itself.
#include "tilewise_cuda.h"

__constant__ float table[4];

extern "C" int read_constants(const float* values, float* y);
__global__ void copy_table(float* y) { y[threadIdx.x] = table[threadIdx.x]; }
extern "C" int read_constants(const float* values, float* y) {
    cudaError_t error = cudaMemcpyToSymbol(table, values, sizeof table);
    if (error != cudaSuccess) return error;
    TW_LAUNCH(copy_table, 1, 4, 0, nullptr)(y);
    return cudaGetLastError();
}

// y[block][thread] = who I am, as one number
__global__ void where_am_i(int* y) {
    int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    int threads = blockDim.x * blockDim.y * blockDim.z;
    y[block * threads + thread] = threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z + 1000 * block;
}

// Memory that is aligned for vectors, in the two ways that nvcc and a C++ compiler both take.
struct __align__(16) Quad {
    float x, y, z, w;
};
__global__ void aligned(const Quad* x, float* y) {
    __shared__ __align__(16) float s[4 * 32];
    *reinterpret_cast<Quad*>(s + 4 * threadIdx.x) = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = s[127 - threadIdx.x];
}

__global__ void scale_by_half(float* y, __half factor, unsigned char times) { *y *= __half2float(factor) * times; }

// y: 9 rows of 32
__global__ void warp_operations(int* y) {
    const unsigned all = 0xffffffffu;
    int lane = threadIdx.x;
    y[0 * 32 + lane] = __shfl_sync(all, lane, 5);
    y[1 * 32 + lane] = __shfl_sync(all, lane, 3, 8);
    y[2 * 32 + lane] = __shfl_xor_sync(all, lane, 6);
    y[3 * 32 + lane] = __shfl_up_sync(all, lane, 2, 16);
    y[4 * 32 + lane] = __shfl_down_sync(all, lane, 2, 16);
    y[5 * 32 + lane] = __ballot_sync(all, lane % 3 == 0);
    y[6 * 32 + lane] = __any_sync(all, lane == 7) + 2 * __all_sync(all, lane < 31) + 4 * __all_sync(all, lane < 32);
    y[7 * 32 + lane] = __match_any_sync(all, lane / 8);
    // Two halves of a warp, each with its own mask, at the same time.
    unsigned half_mask = lane < 16 ? 0x0000ffffu : 0xffff0000u;
    int value = lane;
    for (int step = 8; step > 0; step /= 2) value += __shfl_xor_sync(half_mask, value, step);
    y[8 * 32 + lane] = value;
}

// A full mask where the last warp has fewer lanes: those that exist take part. y: 5 rows of a number a thread
__global__ void partial_warp(unsigned* y) {
    const unsigned all = 0xffffffffu;
    int i = threadIdx.x, n = blockDim.x;
    y[0 * n + i] = __ballot_sync(all, 1);
    y[1 * n + i] = __shfl_sync(all, i, 3);
    y[2 * n + i] = __shfl_xor_sync(all, i, 4);
    y[3 * n + i] = __reduce_add_sync(all, i);
    unsigned sum = i;
    for (int step = n / 2; step > 0; step /= 2) sum += __shfl_down_sync(all, sum, step);  // reads past the last lane
    y[4 * n + i] = i == 0 ? sum : 0;
}

// y: 8 rows of 32
__global__ void warp_reductions(int* y) {
    const unsigned half_mask = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
    int lane = threadIdx.x, equal = -1;
    y[0 * 32 + lane] = __reduce_add_sync(half_mask, -lane);
    y[1 * 32 + lane] = __reduce_min_sync(half_mask, lane - 8);
    y[2 * 32 + lane] = __reduce_max_sync(half_mask, lane - 8);
    y[3 * 32 + lane] = __reduce_max_sync(half_mask, 0xfffffff0u + lane % 16) == 0xffffffffu;
    y[4 * 32 + lane] = __match_all_sync(half_mask, lane / 16, &equal);
    y[5 * 32 + lane] = equal;
    y[6 * 32 + lane] = __match_all_sync(half_mask, lane < 31 ? 1.5 : 2.5, &equal);
    y[7 * 32 + lane] = equal;
}

// y: 3 numbers of a block of 64
__global__ void block_votes(int* y) {
    int count = __syncthreads_count(threadIdx.x % 2 == 0);
    int all = __syncthreads_and(threadIdx.x < 64), any = __syncthreads_or(threadIdx.x == 64);
    if (threadIdx.x == 0) y[0] = count, y[1] = all, y[2] = any;
}

// y: 10 integers, f: 2 floats; they begin as the test says
__global__ void atomics(int* y, unsigned* u, float* f) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(&y[0], 1);
    atomicSub(&y[1], 1);
    atomicMax(&y[2], i);
    atomicMin(&y[3], -i);
    atomicAnd(&y[4], ~(1 << i % 8));
    atomicOr(&y[5], 1 << i % 8);
    atomicXor(&y[6], i);
    atomicInc(&u[0], 9);
    atomicCAS(&y[7], 0, i + 1);
    atomicExch(&y[8], 7);
    atomicAdd(&f[0], 0.5f);
}

// A lock that threads of one block take in turn: who spins must let the holder run.
__global__ void lock(int* held, int* count) {
    for (bool done = false; !done;) {
        if (atomicCAS(held, 0, 1) != 0) continue;
        atomicAdd(count, 1);
        atomicExch(held, 0);
        done = true;
    }
}

// y = the half nearest to x, as bits; z = the float that those bits mean
__global__ void round_to_half(const float* x, unsigned short* y, float* z, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    __half rounded = __float2half(x[i]);
    y[i] = __half_as_ushort(rounded);
    z[i] = __half2float(rounded);
}

// y: 6 rows of n
__global__ void half_arithmetic(const __half* a, const __half* b, __half* y, int n) {
    int i = threadIdx.x;
    y[0 * n + i] = a[i] + b[i];
    y[1 * n + i] = __hmul(a[i], b[i]);
    y[2 * n + i] = __hfma(a[i], b[i], a[i]);
    y[3 * n + i] = __hmax(a[i], b[i]);
    half2 both = __halves2half2(a[i], b[i]);
    both = __hadd2(both, __float2half2_rn(1.0f));
    y[4 * n + i] = __low2half(both);
    y[5 * n + i] = __high2half(both);
}

struct Sizes {
    int rows, columns;
    const float* data;
};
__global__ void sum_of(Sizes sizes, float* y) {
    float sum = 0.0f;
    for (int i = 0; i < sizes.rows * sizes.columns; ++i) sum += sizes.data[i];
    *y = sum;
}

// A whole program of the runtime's calls: memory of its own, a struct by value, events, attributes.
extern "C" int whole_program(const float* x, float* y, int n) {
    float *device_x, *device_y, milliseconds = -1.0f;
    cudaEvent_t start, end;
    cudaEventCreate(&start);
    cudaEventCreate(&end);
    if (cudaMalloc(&device_x, n * sizeof(float)) || cudaMalloc(&device_y, sizeof(float)))
        return cudaErrorMemoryAllocation;
    cudaMemcpy(device_x, x, n * sizeof(float), cudaMemcpyHostToDevice);
    cudaMemset(device_y, 0, sizeof(float));
    cudaFuncSetAttribute(sum_of, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 * 1024);
    cudaEventRecord(start);
    TW_LAUNCH(sum_of, 1, 1, 64 * 1024, nullptr)(Sizes{1, n, device_x}, device_y);
    cudaEventRecord(end);
    cudaEventSynchronize(end);
    cudaEventElapsedTime(&milliseconds, start, end);
    cudaMemcpy(y, device_y, sizeof(float), cudaMemcpyDeviceToHost);
    cudaEventDestroy(start);
    cudaEventDestroy(end);
    cudaFree(device_x);
    cudaFree(device_y);
    cudaError_t error = cudaDeviceSynchronize();
    return error != cudaSuccess ? int(error) : milliseconds >= 0.0f ? 0 : -1;
}

// y: 10 numbers that the device tells of itself
extern "C" int properties(long long* y) {
    cudaDeviceProp device;
    if (cudaGetDeviceProperties(&device, 1) == cudaSuccess) return -1;
    cudaError_t error = cudaGetDeviceProperties(&device, 0);
    int told = 0;
    cudaDeviceGetAttribute(&told, cudaDevAttrMultiProcessorCount, 0);
    y[0] = device.warpSize, y[1] = device.maxThreadsPerBlock, y[2] = device.sharedMemPerBlock;
    y[3] = device.multiProcessorCount - told, y[4] = device.major, y[5] = device.minor;
    y[6] = device.maxThreadsDim[2], y[7] = device.maxGridSize[1], y[8] = std::strlen(device.name);
    y[9] = device.totalGlobalMem >> 20;
    return error;
}

// Memory that both sides reach by one pointer.
__global__ void negate(const float* x, float* y) { y[threadIdx.x] = -x[threadIdx.x]; }
extern "C" int shared_by_both(float* y, int n) {
    float *host, *managed;
    if (cudaMallocHost(&host, n * sizeof(float)) || cudaMallocManaged(&managed, n * sizeof(float)))
        return cudaErrorMemoryAllocation;
    for (int i = 0; i < n; ++i) host[i] = i;
    TW_LAUNCH(negate, 1, n, 0, nullptr)(host, managed);
    cudaError_t error = cudaDeviceSynchronize();
    for (int i = 0; i < n; ++i) y[i] = managed[i];
    return error || cudaFreeHost(host) || cudaFree(managed);
}

// y = what unwritten shared memory holds
__global__ void read_poison(float* y) {
    __shared__ float s[32];
    TW_DYNAMIC_SHARED(float, d);
    y[threadIdx.x] = s[threadIdx.x];
    y[32 + threadIdx.x] = d[threadIdx.x];
    s[threadIdx.x] = d[threadIdx.x] = 1.0f;
}

// A lane that has returned is excused from a __syncwarp().
__global__ void syncwarp_after_return(float* y, int n) {
    int i = threadIdx.x;
    if (i >= n) return;
    y[i] = 1.0f;
    __syncwarp();
    y[32 + i] = y[(i + 1) % n];
}

namespace hidden {
__global__ void in_a_namespace(float* y) { *y = 1.0f; }
}  // namespace hidden

#ifdef NEVER_DEFINED
__global__ void left_out(Missing* y) { *y = 1.0f; }
#endif

template <class T>
__global__ void a_template(T* y) {
    *y = T(1);
}

__global__ void __launch_bounds__(128, 2) after_the_hidden(float* __restrict__ y /* one number */, int n) {
    *y = float(n);
}
