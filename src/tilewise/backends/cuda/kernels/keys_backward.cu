// dk and dv: a block per tile of 32 keys, which walks over the queries that see it, in all heads that share the keys.
// Nobody else writes these rows, so nothing needs to be added atomically (FlashAttention-2, algorithm 2).
#include "tiles.cuh"

constexpr int ROWS = 2;  // of keys that a thread owns
constexpr int BLOCK = ROWS * LANES_Y;
static_assert(BLOCK == BLOCK_N, "tiles of keys and of queries have one size here");

template <class T, int WIDTH>
__global__ void __launch_bounds__(THREADS)
    keys_backward(const __grid_constant__ Problem p, Matrix q, Matrix k, Matrix v, Matrix d_o, const float* lse,
                  const float* delta, Matrix dk, Matrix dv) {
    constexpr int TILE = BLOCK * row_stride<WIDTH>;
    TW_DYNAMIC_SHARED(float, k_tile);
    float *v_tile = k_tile + TILE, *q_tile = v_tile + TILE, *do_tile = q_tile + TILE;
    float *p_tile = do_tile + TILE, *ds_tile = p_tile + BLOCK * SCORE_STRIDE;  // transposed: a row for each key
    const int x = threadIdx.x % LANES_X, y = threadIdx.x / LANES_X;
    const int tiles = (p.n_k + BLOCK - 1) / BLOCK, key_heads = p.heads / p.group;
    const int head = blockIdx.x / tiles, b = head / key_heads, key_head = head % key_heads;
    const int first = blockIdx.x % tiles * BLOCK;

    load_tile<T, BLOCK, WIDTH>(k_tile, k.rows<T>(b, key_head), k.at.row, first, p.n_k, p.d);
    load_tile<T, BLOCK, WIDTH>(v_tile, v.rows<T>(b, key_head), v.at.row, first, p.n_k, p.d_v);
    float4 dk_acc[ROWS][WIDTH / 32] = {}, dv_acc[ROWS][WIDTH / 32] = {};
    const Span queries = queries_of(p, first, first + BLOCK - 1);
    for (int h = key_head * p.group; h < (key_head + 1) * p.group; ++h) {
        const std::int64_t row = std::int64_t(b * p.heads + h) * p.n_q;
        for (int start = queries.start; start < queries.stop; start += BLOCK) {
            __syncthreads();  // a slow warp may still read Q_i and dO_i, which the next ones are about to overwrite
            load_tile<T, BLOCK, WIDTH>(q_tile, q.rows<T>(b, h), q.at.row, start, p.n_q, p.d);
            load_tile<T, BLOCK, WIDTH>(do_tile, d_o.rows<T>(b, h), d_o.at.row, start, p.n_q, p.d_v);
            __syncthreads();  // all four tiles must have landed before any thread multiplies rows of others

            float product[ROWS][COLUMNS] = {}, dp[ROWS][COLUMNS] = {};
            add_row_products<ROWS, WIDTH>(product, k_tile, q_tile);
            add_row_products<ROWS, WIDTH>(dp, v_tile, do_tile);
#pragma unroll
            for (int c = 0; c < COLUMNS; ++c) {
                const int i = start + x + LANES_X * c;
                const bool there = i < p.n_q;
                // A row that sees no key has lse = -inf; +inf makes its weights exp(-inf - inf) = 0 and not NaN.
                const float lse_i = there && lse[row + i] != -INFINITY ? lse[row + i] : INFINITY;
                const float delta_i = there ? delta[row + i] : 0;
#pragma unroll
                for (int r = 0; r < ROWS; ++r) {
                    const int j = first + y + LANES_Y * r;
                    const int place = (y + LANES_Y * r) * SCORE_STRIDE + x + LANES_X * c;
                    const float keep = kept(p, b, h, i, j);
                    const float p_ij = expf(score(p, product[r][c], b, h, i, j) - lse_i);
                    p_tile[place] = p_ij * keep;
                    ds_tile[place] = p_ij * (dp[r][c] * keep - delta_i) * slope_of_score(p, product[r][c]);
                }
            }
            __syncwarp();  // eight lanes share a row: each must have written its columns before any reads the row
            add_weighted_rows<ROWS, WIDTH>(dv_acc, p_tile, do_tile);
            add_weighted_rows<ROWS, WIDTH>(dk_acc, ds_tile, q_tile);
        }
    }
    const float factor[ROWS] = {1, 1};
    store_rows<T, ROWS, WIDTH>(dk.rows<T>(b, key_head), dk.at.row, first, p.n_k, p.d, dk_acc, factor);
    store_rows<T, ROWS, WIDTH>(dv.rows<T>(b, key_head), dv.at.row, first, p.n_k, p.d_v, dv_acc, factor);
}

template <class T, int WIDTH>
struct KeysBackward {
    static void launch(const Problem& p, Matrix q, Matrix k, Matrix v, Matrix d_o, const float* lse,
                       const float* delta, Matrix dk, Matrix dv, cudaStream_t stream) {
        const int bytes = sizeof(float) * BLOCK * (4 * row_stride<WIDTH> + 2 * SCORE_STRIDE);
        cudaFuncSetAttribute(keys_backward<T, WIDTH>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
        const dim3 grid(ceil_div(p.n_k, BLOCK) * p.batch * (p.heads / p.group));
        TW_LAUNCH((keys_backward<T, WIDTH>), grid, dim3(THREADS), bytes, stream)
        (p, q, k, v, d_o, lse, delta, dk, dv);
    }
};

// at: the strides of q, k, v, do, dk and dv   lse, delta: (B, H, N_q) without gaps
extern "C" int tw_keys_backward(const Problem* problem, const Strides* at, const void* q, const void* k,
                                const void* v, const void* mask, const float* slopes, const void* d_o,
                                const float* lse, const float* delta, void* dk, void* dv, cudaStream_t stream) {
    Problem p = *problem;
    p.mask = mask;
    p.slopes = slopes;
    return dispatch<KeysBackward>(p, matrix(q, at[0]), matrix(k, at[1]), matrix(v, at[2]), matrix(d_o, at[3]), lse,
                                  delta, matrix(dk, at[4]), matrix(dv, at[5]), stream);
}
