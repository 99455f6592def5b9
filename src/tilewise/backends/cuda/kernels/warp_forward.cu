// Rung 2: a warp per query row. Lane x holds the features x, x + 32, ... of q_i and of acc, so that the 32 lanes read
// 32 neighbours at a time, and a product q_i @ k_j is the sum over the lanes, which shuffles add up.
//
// What is slow about it: five shuffles for every score, and each k_j and v_j is read anew for every query.
#include "problem.cuh"

constexpr int WARPS = 4;  // a block is four warps that have nothing to do with one another

template <class T, int WIDTH>
__global__ void warp_forward(const __grid_constant__ Problem p, Matrix q, Matrix k, Matrix v, Matrix o, float* lse) {
    constexpr int SHARE = WIDTH / 32;
    const int lane = threadIdx.x % 32;
    const int tiles = (p.n_q + WARPS - 1) / WARPS;
    const int head = blockIdx.x / tiles, b = head / p.heads, h = head % p.heads;
    const int i = blockIdx.x % tiles * WARPS + threadIdx.x / 32;
    if (i >= p.n_q) return;  // the whole warp leaves: all 32 lanes have the same i, and no shuffle waits for them

    const T* q_i = q.rows<T>(b, h) + i * q.at.row;
    const T* k_rows = k.rows<T>(b, h / p.group);
    const T* v_rows = v.rows<T>(b, h / p.group);
    float query[SHARE], acc[SHARE];
    for (int e = 0; e < SHARE; ++e) {
        query[e] = lane + 32 * e < p.d ? float(q_i[lane + 32 * e]) : 0.0f;
        acc[e] = 0;
    }
    float m_i = -INFINITY, l_i = 0;
    const Span keys = keys_of(p, i, i);
    for (int j = keys.start; j < keys.stop; ++j) {
        const T *k_j = k_rows + j * k.at.row, *v_j = v_rows + j * v.at.row;
        float product = 0;
        for (int e = 0; e < SHARE; ++e)
            if (lane + 32 * e < p.d) product += query[e] * float(k_j[lane + 32 * e]);
        // All lanes take part, those without a feature too: a lane that is missing would make the sum undefined.
        const float s = score(p, sum_over_lanes(product), b, h, i, j);
        const float m_new = fmaxf(m_i, s), base = base_of(m_new);
        const float alpha = expf(m_i - base), p_ij = expf(s - base);
        const float weight = p_ij * kept(p, b, h, i, j);
        m_i = m_new;
        l_i = l_i * alpha + p_ij;
        for (int e = 0; e < SHARE; ++e)
            if (lane + 32 * e < p.d_v) acc[e] = acc[e] * alpha + weight * float(v_j[lane + 32 * e]);
    }

    T* o_i = o.rows<T>(b, h) + i * o.at.row;
    for (int e = 0; e < SHARE; ++e)
        if (lane + 32 * e < p.d_v) o_i[lane + 32 * e] = T(l_i == 0 ? 0.0f : acc[e] / l_i);
    if (lane == 0) lse[std::int64_t(head) * p.n_q + i] = lse_of(m_i, l_i);
}

template <class T, int WIDTH>
struct WarpForward {
    static void launch(const Problem& p, Matrix q, Matrix k, Matrix v, Matrix o, float* lse, cudaStream_t stream) {
        const dim3 grid(ceil_div(p.n_q, WARPS) * p.batch * p.heads);
        TW_LAUNCH((warp_forward<T, WIDTH>), grid, dim3(32 * WARPS), 0, stream)
        (p, q, k, v, o, lse);
    }
};

// at: the strides of q, k, v and o   o: (B, H, N_q, D_v)   lse: (B, H, N_q) without gaps
extern "C" int tw_warp_forward(const Problem* problem, const Strides* at, const void* q, const void* k, const void* v,
                               const void* mask, const float* slopes, void* o, float* lse, cudaStream_t stream) {
    Problem p = *problem;
    p.mask = mask;
    p.slopes = slopes;
    return dispatch<WarpForward>(p, matrix(q, at[0]), matrix(k, at[1]), matrix(v, at[2]), matrix(o, at[3]), lse,
                                 stream);
}
