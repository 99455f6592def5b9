// Rung 3: a block per tile of 64 queries. Tiles of Q, K and V lie in shared memory, where 128 threads share what one of
// them has fetched; scores and acc stay in registers (FlashAttention-2, algorithm 1).
#include "tiles.cuh"

constexpr int ROWS = 4;  // of queries that a thread owns
constexpr int BLOCK_M = ROWS * LANES_Y;

template <class T, int WIDTH>
__global__ void __launch_bounds__(THREADS)
    tiled_forward(const __grid_constant__ Problem p, Matrix q, Matrix k, Matrix v, Matrix o, float* lse) {
    TW_DYNAMIC_SHARED(float, q_tile);
    float* k_tile = q_tile + BLOCK_M * row_stride<WIDTH>;
    float* v_tile = k_tile + BLOCK_N * row_stride<WIDTH>;
    float* p_tile = v_tile + BLOCK_N * row_stride<WIDTH>;
    const int x = threadIdx.x % LANES_X, y = threadIdx.x / LANES_X;
    const int tiles = (p.n_q + BLOCK_M - 1) / BLOCK_M;
    const int head = blockIdx.x / tiles, b = head / p.heads, h = head % p.heads;
    const int first = blockIdx.x % tiles * BLOCK_M;
    const T* k_rows = k.rows<T>(b, h / p.group);
    const T* v_rows = v.rows<T>(b, h / p.group);

    load_tile<T, BLOCK_M, WIDTH>(q_tile, q.rows<T>(b, h), q.at.row, first, p.n_q, p.d);
    float4 acc[ROWS][WIDTH / 32] = {};
    float m_i[ROWS], l_i[ROWS] = {};  // l_i: of the columns that this thread owns, until the end
    for (int r = 0; r < ROWS; ++r) m_i[r] = -INFINITY;

    const Span keys = keys_of(p, first, first + BLOCK_M - 1);
    for (int start = keys.start; start < keys.stop; start += BLOCK_N) {
        __syncthreads();  // a slow warp may still read K_j and V_j, which the next ones are about to overwrite
        load_tile<T, BLOCK_N, WIDTH>(k_tile, k_rows, k.at.row, start, p.n_k, p.d);
        load_tile<T, BLOCK_N, WIDTH>(v_tile, v_rows, v.at.row, start, p.n_k, p.d_v);
        __syncthreads();  // all of Q_i, K_j and V_j must have landed before any thread multiplies rows of others

        float s[ROWS][COLUMNS] = {};
        add_row_products<ROWS, WIDTH>(s, q_tile, k_tile);
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            const int i = first + y + LANES_Y * r;
            float m_new = m_i[r];
            for (int c = 0; c < COLUMNS; ++c) {
                s[r][c] = score(p, s[r][c], b, h, i, start + x + LANES_X * c);
                m_new = fmaxf(m_new, s[r][c]);
            }
            m_new = max_over_row(m_new);
            const float base = base_of(m_new), alpha = expf(m_i[r] - base);
            m_i[r] = m_new;
            l_i[r] *= alpha;
            for (int c = 0; c < COLUMNS; ++c) {
                const int j = x + LANES_X * c;
                const float p_ij = expf(s[r][c] - base);
                l_i[r] += p_ij;
                p_tile[(y + LANES_Y * r) * SCORE_STRIDE + j] = p_ij * kept(p, b, h, i, start + j);
            }
            for (float4& sum : acc[r]) sum = scaled(sum, alpha);
        }
        __syncwarp();  // eight lanes share a row of P: each must have written its columns before any reads the row
        add_weighted_rows<ROWS, WIDTH>(acc, p_tile, v_tile);
    }

    float inverse[ROWS];
    for (int r = 0; r < ROWS; ++r) {
        const int i = first + y + LANES_Y * r;
        const float l = sum_over_lanes(l_i[r], LANES_X);
        inverse[r] = l == 0 ? 0 : 1 / l;
        if (x == 0 && i < p.n_q) lse[std::int64_t(head) * p.n_q + i] = lse_of(m_i[r], l);
    }
    store_rows<T, ROWS, WIDTH>(o.rows<T>(b, h), o.at.row, first, p.n_q, p.d_v, acc, inverse);
}

template <class T, int WIDTH>
struct TiledForward {
    static void launch(const Problem& p, Matrix q, Matrix k, Matrix v, Matrix o, float* lse, cudaStream_t stream) {
        const int bytes = sizeof(float) * ((BLOCK_M + 2 * BLOCK_N) * row_stride<WIDTH> + BLOCK_M * SCORE_STRIDE);
        cudaFuncSetAttribute(tiled_forward<T, WIDTH>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
        const dim3 grid(ceil_div(p.n_q, BLOCK_M) * p.batch * p.heads);
        TW_LAUNCH((tiled_forward<T, WIDTH>), grid, dim3(THREADS), bytes, stream)
        (p, q, k, v, o, lse);
    }
};

// at: the strides of q, k, v and o   o: (B, H, N_q, D_v)   lse: (B, H, N_q) without gaps
extern "C" int tw_tiled_forward(const Problem* problem, const Strides* at, const void* q, const void* k,
                                const void* v, const void* mask, const float* slopes, void* o, float* lse,
                                cudaStream_t stream) {
    Problem p = *problem;
    p.mask = mask;
    p.slopes = slopes;
    return dispatch<TiledForward>(p, matrix(q, at[0]), matrix(k, at[1]), matrix(v, at[2]), matrix(o, at[3]), lse,
                                  stream);
}
