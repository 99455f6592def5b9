// A few queries, many keys: one token after another over a cache. Queries alone would keep few warps busy, so the keys
// are cut into splits, a warp for each split of each query; the parts are then merged by their lse (Flash-Decoding).
#include "tiles.cuh"

constexpr int DECODE_WARPS = 4;

// WIDTH / 4 lanes hold a row, four features each, so that a warp reads 128 features at a time: one key or several.
template <class T, int WIDTH>
__global__ void decode_split(const __grid_constant__ Problem p, int splits, int split_keys, Matrix q, Matrix k,
                             Matrix v, float* parts, float* part_lse) {
    constexpr int LANES = WIDTH / 4, TOGETHER = 32 / LANES;
    const int lane = threadIdx.x % 32, mine = lane / LANES, column = lane % LANES * 4;
    const int part = blockIdx.x * DECODE_WARPS + threadIdx.x / 32;  // row * splits + split
    if (part >= p.batch * p.heads * p.n_q * splits) return;         // the whole warp leaves
    const int row = part / splits, split = part % splits;
    const int i = row % p.n_q, head = row / p.n_q, b = head / p.heads, h = head % p.heads;
    const T* q_i = q.rows<T>(b, h) + i * q.at.row;
    const T* k_rows = k.rows<T>(b, h / p.group);
    const T* v_rows = v.rows<T>(b, h / p.group);

    const bool in_d = column < p.d, in_d_v = column < p.d_v;  // both are multiples of 4
    const float4 query = in_d ? load_four(q_i + column) : make_float4(0, 0, 0, 0);
    float4 acc = make_float4(0, 0, 0, 0);
    float m_i = -INFINITY, l_i = 0;
    const Span seen = keys_of(p, i, i);
    const int start = max(seen.start, split * split_keys), stop = min(seen.stop, (split + 1) * split_keys);
    for (int block = start; block < stop; block += TOGETHER) {
        const int j = block + mine;
        float product = 0;
        if (j < stop && in_d) product = dot(query, load_four(k_rows + j * k.at.row + column));
        product = sum_over_lanes(product, LANES);  // all lanes take part, also those whose key is past the end
        if (j >= stop) continue;                   // until the next shuffle, which they reach with the others
        const float s = score(p, product, b, h, i, j);
        const float m_new = fmaxf(m_i, s), base = base_of(m_new);
        const float alpha = expf(m_i - base), p_ij = expf(s - base), weight = p_ij * kept(p, b, h, i, j);
        m_i = m_new;
        l_i = l_i * alpha + p_ij;
        acc = scaled(acc, alpha);
        if (in_d_v) add_scaled(acc, weight, load_four(v_rows + j * v.at.row + column));
    }

    // What the groups of lanes found is merged as two tiles are: relative to the larger maximum.
    for (int distance = LANES; distance < 32; distance *= 2) {
        const float m_new = fmaxf(m_i, __shfl_xor_sync(ALL_LANES, m_i, distance));
        const float alpha = expf(m_i - base_of(m_new));
        m_i = m_new;
        l_i *= alpha;
        l_i += __shfl_xor_sync(ALL_LANES, l_i, distance);
        acc = scaled(acc, alpha);
        for (float* sum : {&acc.x, &acc.y, &acc.z, &acc.w}) *sum += __shfl_xor_sync(ALL_LANES, *sum, distance);
    }
    if (mine == 0 && in_d_v)
        at_four(parts + std::int64_t(part) * p.d_v + column) = scaled(acc, l_i == 0 ? 0.0f : 1 / l_i);
    if (lane == 0) part_lse[part] = lse_of(m_i, l_i);
}

// o = sum of exp(lse_s - lse) * o_s over the splits s: a warp per row, each lane some of the features.
template <class T, int WIDTH>
__global__ void decode_merge(const __grid_constant__ Problem p, int splits, const float* parts, const float* part_lse,
                             Matrix o, float* lse) {
    const int lane = threadIdx.x % 32, row = blockIdx.x * DECODE_WARPS + threadIdx.x / 32;
    if (row >= p.batch * p.heads * p.n_q) return;
    float m = -INFINITY, l = 0;
    for (int s = 0; s < splits; ++s) m = fmaxf(m, part_lse[std::int64_t(row) * splits + s]);
    for (int s = 0; s < splits; ++s) l += expf(part_lse[std::int64_t(row) * splits + s] - base_of(m));
    const int i = row % p.n_q, head = row / p.n_q;
    T* o_i = o.rows<T>(head / p.heads, head % p.heads) + i * o.at.row;
    for (int c = lane; c < p.d_v; c += 32) {
        float sum = 0;
        for (int s = 0; s < splits; ++s) {
            const std::int64_t part = std::int64_t(row) * splits + s;
            sum += expf(part_lse[part] - base_of(m)) * parts[part * p.d_v + c];
        }
        o_i[c] = T(l == 0 ? 0.0f : sum / l);
    }
    if (lane == 0) lse[row] = lse_of(m, l);
}

template <class T, int WIDTH>
struct Decode {
    static void launch(const Problem& p, int splits, Matrix q, Matrix k, Matrix v, float* parts, float* part_lse,
                       Matrix o, float* lse, cudaStream_t stream) {
        const int rows = p.batch * p.heads * p.n_q, split_keys = ceil_div(p.n_k, splits);
        const dim3 parts_grid(ceil_div(rows * splits, DECODE_WARPS)), rows_grid(ceil_div(rows, DECODE_WARPS));
        TW_LAUNCH((decode_split<T, WIDTH>), parts_grid, dim3(32 * DECODE_WARPS), 0, stream)
        (p, splits, split_keys, q, k, v, parts, part_lse);
        TW_LAUNCH((decode_merge<T, WIDTH>), rows_grid, dim3(32 * DECODE_WARPS), 0, stream)
        (p, splits, parts, part_lse, o, lse);
    }
};

// at: the strides of q, k, v and o   parts: room for (B, H, N_q, splits, D_v)   part_lse: for (B, H, N_q, splits)
extern "C" int tw_decode(const Problem* problem, int splits, const Strides* at, const void* q, const void* k,
                         const void* v, const void* mask, const float* slopes, float* parts, float* part_lse, void* o,
                         float* lse, cudaStream_t stream) {
    Problem p = *problem;
    p.mask = mask;
    p.slopes = slopes;
    return dispatch<Decode>(p, splits, matrix(q, at[0]), matrix(k, at[1]), matrix(v, at[2]), parts, part_lse,
                            matrix(o, at[3]), lse, stream);
}
