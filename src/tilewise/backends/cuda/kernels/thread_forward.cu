// Rung 1: a thread per query row. Each walks over all keys of its own, one at a time, as the formulas say.
//
// What is slow about it: 32 threads of a warp read 32 rows of q and write 32 rows of o, a row apart each time, so that
// hardly a byte of what the memory delivers is used; k_j and v_j are read again by every block; and with 128 features a
// row of q and one of acc are more than a thread has registers for.
#include "problem.cuh"

template <class T, int WIDTH>
__global__ void thread_forward(const __grid_constant__ Problem p, Matrix q, Matrix k, Matrix v, Matrix o,
                               float* lse) {
    const int tiles = (p.n_q + blockDim.x - 1) / blockDim.x;
    const int head = blockIdx.x / tiles, b = head / p.heads, h = head % p.heads;
    const int i = blockIdx.x % tiles * blockDim.x + threadIdx.x;
    if (i >= p.n_q) return;  // nobody waits for this thread: the kernel has no barrier

    const T* q_i = q.rows<T>(b, h) + i * q.at.row;
    const T* k_rows = k.rows<T>(b, h / p.group);
    const T* v_rows = v.rows<T>(b, h / p.group);
    float query[WIDTH], acc[WIDTH];
#pragma unroll
    for (int c = 0; c < WIDTH; ++c) {
        query[c] = c < p.d ? float(q_i[c]) : 0.0f;
        acc[c] = 0;
    }
    float m_i = -INFINITY, l_i = 0;
    const Span keys = keys_of(p, i, i);
    for (int j = keys.start; j < keys.stop; ++j) {
        const T *k_j = k_rows + j * k.at.row, *v_j = v_rows + j * v.at.row;
        float product = 0;
#pragma unroll
        for (int c = 0; c < WIDTH; ++c)
            if (c < p.d) product += query[c] * float(k_j[c]);
        const float s = score(p, product, b, h, i, j);
        const float m_new = fmaxf(m_i, s), base = base_of(m_new);
        const float alpha = expf(m_i - base);  // what is summed so far was relative to the old maximum
        const float p_ij = expf(s - base);
        const float weight = p_ij * kept(p, b, h, i, j);
        m_i = m_new;
        l_i = l_i * alpha + p_ij;
#pragma unroll
        for (int c = 0; c < WIDTH; ++c)
            if (c < p.d_v) acc[c] = acc[c] * alpha + weight * float(v_j[c]);
    }

    T* o_i = o.rows<T>(b, h) + i * o.at.row;
#pragma unroll
    for (int c = 0; c < WIDTH; ++c)
        if (c < p.d_v) o_i[c] = T(l_i == 0 ? 0.0f : acc[c] / l_i);
    lse[std::int64_t(head) * p.n_q + i] = lse_of(m_i, l_i);
}

template <class T, int WIDTH>
struct ThreadForward {
    static void launch(const Problem& p, Matrix q, Matrix k, Matrix v, Matrix o, float* lse, cudaStream_t stream) {
        const int threads = 64;
        const dim3 grid(ceil_div(p.n_q, threads) * p.batch * p.heads);
        TW_LAUNCH((thread_forward<T, WIDTH>), grid, dim3(threads), 0, stream)
        (p, q, k, v, o, lse);
    }
};

// at: the strides of q, k, v and o   o: (B, H, N_q, D_v)   lse: (B, H, N_q) without gaps
extern "C" int tw_thread_forward(const Problem* problem, const Strides* at, const void* q, const void* k,
                                 const void* v, const void* mask, const float* slopes, void* o, float* lse,
                                 cudaStream_t stream) {
    Problem p = *problem;
    p.mask = mask;
    p.slopes = slopes;
    return dispatch<ThreadForward>(p, matrix(q, at[0]), matrix(k, at[1]), matrix(v, at[2]), matrix(o, at[3]), lse,
                                   stream);
}
