// delta = rowsum(dO * O), the first step of the backward pass: a warp per row, as dP needs one number of each row.
// A gradient of lse enters the same way: dlse is taken off, for dS = P * (dP - delta) + P * dlse.
#include "problem.cuh"

constexpr int DELTA_WARPS = 4;

template <class T>
__global__ void delta_kernel(const __grid_constant__ Problem p, Matrix o, Matrix d_o, const float* dlse,
                             float* delta) {
    const int lane = threadIdx.x % 32;
    const int tiles = (p.n_q + DELTA_WARPS - 1) / DELTA_WARPS;
    const int head = blockIdx.x / tiles;
    const int i = blockIdx.x % tiles * DELTA_WARPS + threadIdx.x / 32;
    if (i >= p.n_q) return;  // the whole warp leaves: no shuffle waits for it
    const T* o_i = o.rows<T>(head / p.heads, head % p.heads) + i * o.at.row;
    const T* do_i = d_o.rows<T>(head / p.heads, head % p.heads) + i * d_o.at.row;
    float sum = 0;
    for (int c = lane; c < p.d_v; c += 32) sum += float(o_i[c]) * float(do_i[c]);
    sum = sum_over_lanes(sum);
    const std::int64_t row = std::int64_t(head) * p.n_q + i;
    if (lane == 0) delta[row] = dlse ? sum - dlse[row] : sum;
}

// at: the strides of o and do   dlse: null for none; dlse and delta: (B, H, N_q) without gaps
extern "C" int tw_delta(const Problem* problem, const Strides* at, const void* o, const void* d_o, const float* dlse,
                        float* delta, cudaStream_t stream) {
    const Problem& p = *problem;
    const auto kernel = p.is_half ? delta_kernel<half> : delta_kernel<float>;
    const dim3 grid(ceil_div(p.n_q, DELTA_WARPS) * p.batch * p.heads);
    TW_LAUNCH(kernel, grid, dim3(32 * DELTA_WARPS), 0, stream)
    (p, matrix(o, at[0]), matrix(d_o, at[1]), dlse, delta);
    return cudaGetLastError();
}
