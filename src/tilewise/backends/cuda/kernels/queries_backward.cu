// dq, and the gradient of an additive mask: a block per tile of 32 queries, which walks over the keys that they see.
#include "tiles.cuh"

constexpr int ROWS = 2;  // of queries that a thread owns
constexpr int BLOCK = ROWS * LANES_Y;
static_assert(BLOCK == BLOCK_N, "tiles of keys and of queries have one size here");

template <class T, int WIDTH>
__global__ void __launch_bounds__(THREADS)
    queries_backward(const __grid_constant__ Problem p, Matrix q, Matrix k, Matrix v, Matrix d_o, const float* lse,
                     const float* delta, Matrix dq, Matrix dmask) {
    constexpr int TILE = BLOCK * row_stride<WIDTH>;
    TW_DYNAMIC_SHARED(float, q_tile);
    float *do_tile = q_tile + TILE, *k_tile = do_tile + TILE, *v_tile = k_tile + TILE, *ds_tile = v_tile + TILE;
    const int x = threadIdx.x % LANES_X, y = threadIdx.x / LANES_X;
    const int tiles = (p.n_q + BLOCK - 1) / BLOCK;
    const int head = blockIdx.x / tiles, b = head / p.heads, h = head % p.heads;
    const int first = blockIdx.x % tiles * BLOCK;
    const T* k_rows = k.rows<T>(b, h / p.group);
    const T* v_rows = v.rows<T>(b, h / p.group);

    load_tile<T, BLOCK, WIDTH>(q_tile, q.rows<T>(b, h), q.at.row, first, p.n_q, p.d);
    load_tile<T, BLOCK, WIDTH>(do_tile, d_o.rows<T>(b, h), d_o.at.row, first, p.n_q, p.d_v);
    float lse_i[ROWS], delta_i[ROWS];
    for (int r = 0; r < ROWS; ++r) {
        const int i = first + y + LANES_Y * r;
        const std::int64_t row = std::int64_t(head) * p.n_q + i;
        // A row that sees no key has lse = -inf; +inf makes its weights exp(-inf - inf) = 0 and not NaN.
        lse_i[r] = i < p.n_q && lse[row] != -INFINITY ? lse[row] : INFINITY;
        delta_i[r] = i < p.n_q ? delta[row] : 0;
    }
    float4 acc[ROWS][WIDTH / 32] = {};
    const Span keys = keys_of(p, first, first + BLOCK - 1);
    for (int start = keys.start; start < keys.stop; start += BLOCK) {
        __syncthreads();  // a slow warp may still read K_j and V_j, which the next ones are about to overwrite
        load_tile<T, BLOCK, WIDTH>(k_tile, k_rows, k.at.row, start, p.n_k, p.d);
        load_tile<T, BLOCK, WIDTH>(v_tile, v_rows, v.at.row, start, p.n_k, p.d_v);
        __syncthreads();  // all four tiles must have landed before any thread multiplies rows of others

        float product[ROWS][COLUMNS] = {}, dp[ROWS][COLUMNS] = {};
        add_row_products<ROWS, WIDTH>(product, q_tile, k_tile);
        add_row_products<ROWS, WIDTH>(dp, do_tile, v_tile);
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            const int i = first + y + LANES_Y * r;
#pragma unroll
            for (int c = 0; c < COLUMNS; ++c) {
                const int j = start + x + LANES_X * c;
                const float p_ij = expf(score(p, product[r][c], b, h, i, j) - lse_i[r]);
                const float ds = p_ij * (dp[r][c] * kept(p, b, h, i, j) - delta_i[r]);
                ds_tile[(y + LANES_Y * r) * SCORE_STRIDE + x + LANES_X * c] = ds * slope_of_score(p, product[r][c]);
                // A broadcast mask gets the sum over all that read the same element, from many blocks at once.
                if (dmask.data && i < p.n_q && j < p.n_k)
                    atomicAdd(dmask.rows<float>(b, h) + i * dmask.at.row + j * dmask.at.column, ds);
            }
        }
        __syncwarp();  // eight lanes share a row: each must have written its columns before any reads the row
        add_weighted_rows<ROWS, WIDTH>(acc, ds_tile, k_tile);
    }
    const float factor[ROWS] = {1, 1};
    store_rows<T, ROWS, WIDTH>(dq.rows<T>(b, h), dq.at.row, first, p.n_q, p.d, acc, factor);
}

template <class T, int WIDTH>
struct QueriesBackward {
    static void launch(const Problem& p, Matrix q, Matrix k, Matrix v, Matrix d_o, const float* lse,
                       const float* delta, Matrix dq, Matrix dmask, cudaStream_t stream) {
        const int bytes = sizeof(float) * BLOCK * (4 * row_stride<WIDTH> + SCORE_STRIDE);
        cudaFuncSetAttribute(queries_backward<T, WIDTH>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
        const dim3 grid(ceil_div(p.n_q, BLOCK) * p.batch * p.heads);
        TW_LAUNCH((queries_backward<T, WIDTH>), grid, dim3(THREADS), bytes, stream)
        (p, q, k, v, d_o, lse, delta, dq, dmask);
    }
};

// at: the strides of q, k, v, do, dq and dmask   lse, delta: (B, H, N_q) without gaps
// dmask: null, or zeros in the shape of the mask
extern "C" int tw_queries_backward(const Problem* problem, const Strides* at, const void* q, const void* k,
                                   const void* v, const void* mask, const float* slopes, const void* d_o,
                                   const float* lse, const float* delta, void* dq, float* dmask,
                                   cudaStream_t stream) {
    Problem p = *problem;
    p.mask = mask;
    p.slopes = slopes;
    return dispatch<QueriesBackward>(p, matrix(q, at[0]), matrix(k, at[1]), matrix(v, at[2]), matrix(d_o, at[3]), lse,
                                     delta, matrix(dq, at[4]), matrix(dmask, at[5]), stream);
}
