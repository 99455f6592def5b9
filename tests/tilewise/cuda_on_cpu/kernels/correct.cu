// Correct kernels of the kinds that the course builds: every check must stay silent on them.
#include "tilewise_cuda.h"

// c = a b, all n x n; one thread an element, tiles in shared memory, any n.
template <int tile>
__global__ void matmul(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int n) {
    __shared__ float a_tile[tile][tile], b_tile[tile][tile];
    int row = blockIdx.y * tile + threadIdx.y, column = blockIdx.x * tile + threadIdx.x;
    float sum = 0.0f;
    for (int first = 0; first < n; first += tile) {
        int k_a = first + threadIdx.x, k_b = first + threadIdx.y;
        a_tile[threadIdx.y][threadIdx.x] = row < n && k_a < n ? a[row * n + k_a] : 0.0f;
        b_tile[threadIdx.y][threadIdx.x] = k_b < n && column < n ? b[k_b * n + column] : 0.0f;
        __syncthreads();  // both tiles must have landed before anyone multiplies
        for (int k = 0; k < tile; ++k) sum += a_tile[threadIdx.y][k] * b_tile[k][threadIdx.x];
        __syncthreads();  // all must have read the tiles before anyone overwrites them
    }
    if (row < n && column < n) c[row * n + column] = sum;
}

extern "C" int matmul_f32(const float* a, const float* b, float* c, int n, cudaStream_t stream) {
    constexpr int tile = 16;
    dim3 grid((n + tile - 1) / tile, (n + tile - 1) / tile);
    TW_LAUNCH((matmul<tile>), grid, dim3(tile, tile), 0, stream)(a, b, c, n);
    return cudaGetLastError();
}

__device__ float warp_sum(float value) {
    for (int delta = 16; delta > 0; delta /= 2) value += __shfl_down_sync(0xffffffffu, value, delta);
    return value;
}

// total += sum(x): shuffles within a warp, shared memory between warps, an atomic between blocks.
__global__ void reduce_sum(const float* x, float* total, int n) {
    __shared__ float of_warp[32];
    float mine = 0.0f;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) mine += x[i];
    mine = warp_sum(mine);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    if (lane == 0) of_warp[warp] = mine;
    __syncthreads();  // every warp's sum must have landed before the first warp adds them
    if (warp == 0) {
        mine = warp_sum(lane < warps ? of_warp[lane] : 0.0f);
        if (lane == 0) atomicAdd(total, mine);
    }
}

// total = sum(x) in one launch: the last block to finish adds what all have left behind.
__global__ void reduce_with_last_block(const float* x, float* partial, unsigned* finished, float* total, int n) {
    __shared__ bool is_last;
    int i = blockIdx.x * 32 + threadIdx.x;
    float mine = warp_sum(i < n ? x[i] : 0.0f);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = mine;
        __threadfence();  // the sum must be seen by whoever sees the count
        is_last = atomicAdd(finished, 1) == gridDim.x - 1;
    }
    __syncthreads();  // is_last must have landed
    if (!is_last) return;
    float sum = 0.0f;
    for (int block = threadIdx.x; block < int(gridDim.x); block += 32) sum += partial[block];
    sum = warp_sum(sum);
    if (threadIdx.x == 0) *total = sum;
}

// The same with the count in a variable of the file, which wraps round to 0 for the next launch.
__device__ unsigned blocks_done;
__global__ void reduce_with_own_count(const float* x, float* partial, float* total, int n) {
    __shared__ bool is_last;
    int i = blockIdx.x * 32 + threadIdx.x;
    float mine = warp_sum(i < n ? x[i] : 0.0f);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = mine;
        __threadfence();  // the sum must be seen by whoever sees the count
        is_last = atomicInc(&blocks_done, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();  // is_last must have landed
    if (!is_last) return;
    float sum = 0.0f;
    for (int block = threadIdx.x; block < int(gridDim.x); block += 32) sum += partial[block];
    sum = warp_sum(sum);
    if (threadIdx.x == 0) *total = sum;
}

// y = reversed x within each warp, through shared memory and with no barrier of the block.
__global__ void reverse_in_warps(const float* x, float* y) {
    __shared__ float s[64];
    int lane = threadIdx.x % 32, first = threadIdx.x - lane;
    s[threadIdx.x] = x[threadIdx.x];
    __syncwarp();  // the lanes of this warp must have written
    y[threadIdx.x] = s[first + 31 - lane];
}

// FlashAttention-2 forward, one thread a query row: q, k, v, o are (heads, n, D), lse is (heads, n).
template <int rows, int keys, int D>
__global__ void flash_thread_per_row(const float* __restrict__ q, const float* __restrict__ k,
                                     const float* __restrict__ v, float* __restrict__ o, float* __restrict__ lse, int n,
                                     float scale, bool causal) {
    __shared__ float k_tile[keys][D], v_tile[keys][D];
    int row = blockIdx.x * rows + threadIdx.x;
    size_t head = size_t(blockIdx.y) * n * D;
    float q_row[D], acc[D], scores[keys];
    for (int d = 0; d < D; ++d) {
        q_row[d] = row < n ? q[head + size_t(row) * D + d] * scale : 0.0f;
        acc[d] = 0.0f;
    }
    float m = -INFINITY, l = 0.0f;
    int end = causal ? min(n, int(blockIdx.x + 1) * rows) : n;
    for (int first = 0; first < end; first += keys) {
        __syncthreads();  // all must have read the last tile before it is overwritten
        int here = min(keys, n - first);
        for (int i = threadIdx.x; i < here * D; i += rows) {
            k_tile[i / D][i % D] = k[head + size_t(first) * D + i];
            v_tile[i / D][i % D] = v[head + size_t(first) * D + i];
        }
        __syncthreads();  // the tile must have landed
        int seen = row >= n ? 0 : causal ? max(0, min(here, row - first + 1)) : here;
        if (seen == 0) continue;
        float m_new = m;
        for (int j = 0; j < seen; ++j) {
            float score = 0.0f;
            for (int d = 0; d < D; ++d) score += q_row[d] * k_tile[j][d];
            scores[j] = score;
            m_new = fmaxf(m_new, score);
        }
        float alpha = __expf(m - m_new);
        l *= alpha;
        for (int d = 0; d < D; ++d) acc[d] *= alpha;
        for (int j = 0; j < seen; ++j) {
            float p = __expf(scores[j] - m_new);
            l += p;
            for (int d = 0; d < D; ++d) acc[d] += p * v_tile[j][d];
        }
        m = m_new;
    }
    if (row >= n) return;
    for (int d = 0; d < D; ++d) o[head + size_t(row) * D + d] = acc[d] / l;
    lse[size_t(blockIdx.y) * n + row] = m + logf(l);
}

// The same with one warp a query row: a lane holds D / 32 columns, and shuffles add up the scores.
template <int warps, int keys, int D>
__global__ void flash_warp_per_row(const float* __restrict__ q, const float* __restrict__ k,
                                   const float* __restrict__ v, float* __restrict__ o, float* __restrict__ lse, int n,
                                   float scale, bool causal) {
    TW_DYNAMIC_SHARED(float, k_tile);
    float* v_tile = k_tile + keys * D;
    constexpr int own = D / 32;
    int lane = threadIdx.x % 32, row = blockIdx.x * warps + threadIdx.x / 32;
    size_t head = size_t(blockIdx.y) * n * D;
    float q_row[own], acc[own];
    for (int c = 0; c < own; ++c) {
        q_row[c] = row < n ? q[head + size_t(row) * D + c * 32 + lane] * scale : 0.0f;
        acc[c] = 0.0f;
    }
    float m = -INFINITY, l = 0.0f;
    int end = causal ? min(n, int(blockIdx.x + 1) * warps) : n;
    for (int first = 0; first < end; first += keys) {
        __syncthreads();  // all must have read the last tile before it is overwritten
        int here = min(keys, n - first);
        for (int i = threadIdx.x; i < here * D; i += warps * 32) {
            k_tile[i] = k[head + size_t(first) * D + i];
            v_tile[i] = v[head + size_t(first) * D + i];
        }
        __syncthreads();  // the tile must have landed
        int seen = row >= n ? 0 : causal ? max(0, min(here, row - first + 1)) : here;
        for (int j = 0; j < seen; ++j) {
            float score = 0.0f;
            for (int c = 0; c < own; ++c) score += q_row[c] * k_tile[j * D + c * 32 + lane];
            for (int step = 16; step > 0; step /= 2) score += __shfl_xor_sync(0xffffffffu, score, step);
            float m_new = fmaxf(m, score), alpha = __expf(m - m_new), p = __expf(score - m_new);
            l = l * alpha + p;
            for (int c = 0; c < own; ++c) acc[c] = acc[c] * alpha + p * v_tile[j * D + c * 32 + lane];
            m = m_new;
        }
    }
    if (row >= n) return;
    for (int c = 0; c < own; ++c) o[head + size_t(row) * D + c * 32 + lane] = acc[c] / l;
    if (lane == 0) lse[size_t(blockIdx.y) * n + row] = m + logf(l);
}

extern "C" int flash_forward_thread_per_row(const float* q, const float* k, const float* v, float* o, float* lse,
                                            int heads, int n, float scale, bool causal, cudaStream_t stream) {
    constexpr int rows = 64, keys = 32, D = 64;
    TW_LAUNCH((flash_thread_per_row<rows, keys, D>), dim3((n + rows - 1) / rows, heads), rows, 0, stream)
    (q, k, v, o, lse, n, scale, causal);
    return cudaGetLastError();
}

extern "C" int flash_forward_warp_per_row(const float* q, const float* k, const float* v, float* o, float* lse,
                                          int heads, int n, float scale, bool causal, cudaStream_t stream) {
    constexpr int warps = 4, keys = 32, D = 64;
    TW_LAUNCH((flash_warp_per_row<warps, keys, D>), dim3((n + warps - 1) / warps, heads), warps * 32,
              2 * keys * D * sizeof(float), stream)
    (q, k, v, o, lse, n, scale, causal);
    return cudaGetLastError();
}
