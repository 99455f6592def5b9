// What every kernel here is told: sizes, strides, what becomes of a score, and which keys a query sees.
//
// Query i stands at position i + n_k - n_q, so that the last query stands at the last key, and sees the keys from
// `left` before its position to `right` after it that the mask lets it see.
#pragma once

#include "tilewise_cuda.h"

enum MaskKind { NO_MASK, BOOL_MASK, FLOAT_MASK, HALF_MASK };

// Of a tensor (batch, head, row, column), in elements; 0 where it is broadcast. Features have no gaps: column is 1.
struct Strides {
    std::int64_t batch, head, row, column;
};

// Python fills in all but the pointers (arguments.py has the same fields in the same order).
// Kernels take it as __grid_constant__: a reference to it then needs no copy in every thread.
struct Problem {
    int batch, heads, group, n_q, n_k, d, d_v;  // group: of the heads of queries, how many share a head of keys
    int is_half;
    float scale, softcap;  // softcap: 0 for none
    int left, right;       // at most n_q + n_k in size: that many bind nothing
    int mask_kind;
    Strides mask_strides;
    std::int64_t slopes_batch;  // slopes are (B, H), or (1, H) with 0 here
    unsigned seed, threshold;   // of dropout: an element falls below the threshold out of 2^32, none below 0
    float keep_scale;           // 1 / (1 - dropout_p)
    const void* mask;
    const float* slopes;
};

struct Matrix {
    void* data;
    Strides at;

    // The rows of one head.
    template <class T>
    __device__ T* rows(int b, int h) const {
        return static_cast<T*>(data) + b * at.batch + h * at.head;
    }
};

inline Matrix matrix(const void* data, const Strides& at) { return {const_cast<void*>(data), at}; }

struct Span {
    int start, stop;
};

// The keys between the first and the last that any of these queries sees by its position. May be empty.
__device__ inline Span keys_of(const Problem& p, int first_query, int last_query) {
    const int shift = p.n_k - p.n_q;
    return {max(0, first_query + shift - p.left), min(p.n_k, min(last_query, p.n_q - 1) + shift + p.right + 1)};
}

// The queries between the first and the last that see any of these keys by its position. May be empty.
__device__ inline Span queries_of(const Problem& p, int first_key, int last_key) {
    const int shift = p.n_k - p.n_q;
    return {max(0, first_key - shift - p.right), min(p.n_q, min(last_key, p.n_k - 1) - shift + p.left + 1)};
}

// What few calls ask for stands in functions that are not inlined: kernels call them from unrolled loops, and a copy in
// every turn would make the code many times as long.
__device__ __noinline__ static float masked(const Problem& p, float s, int b, int h, int i, int j) {
    const Strides& m = p.mask_strides;
    const std::int64_t place = b * m.batch + h * m.head + i * m.row + j * m.column;
    if (p.mask_kind == BOOL_MASK) return static_cast<const unsigned char*>(p.mask)[place] ? s : -INFINITY;
    if (p.mask_kind == FLOAT_MASK) return s + static_cast<const float*>(p.mask)[place];
    return s + float(static_cast<const half*>(p.mask)[place]);
}
__device__ __noinline__ static float capped(float s, float softcap) { return softcap * tanhf(s / softcap); }
__device__ __noinline__ static float slope_of_capped(float s, float softcap) {
    const float t = tanhf(s / softcap);
    return 1 - t * t;
}

// s = softcap(scale * q @ k) - slope * distance + mask, and -inf for a key that is not seen, or not there.
__device__ inline float score(const Problem& p, float product, int b, int h, int i, int j) {
    const int distance = j - (i + p.n_k - p.n_q);
    if (i >= p.n_q || j >= p.n_k || distance < -p.left || distance > p.right) return -INFINITY;
    float s = product * p.scale;
    if (p.softcap > 0) s = capped(s, p.softcap);
    if (p.slopes) s -= p.slopes[b * p.slopes_batch + h] * abs(distance);
    return p.mask_kind == NO_MASK ? s : masked(p, s, b, h, i, j);
}

// The derivative of the score by the product q @ k.
__device__ inline float slope_of_score(const Problem& p, float product) {
    return p.softcap > 0 ? p.scale * slope_of_capped(product * p.scale, p.softcap) : p.scale;
}

// MurmurHash3's finalizer: every bit of x reaches every bit of the result.
__device__ inline unsigned mixed(unsigned x) {
    x = (x ^ (x >> 16)) * 0x85EBCA6Bu;
    x = (x ^ (x >> 13)) * 0xC2B2AE35u;
    return x ^ (x >> 16);
}
__device__ __noinline__ static float dropped_or_kept(const Problem& p, int b, int h, int i, int j) {
    const unsigned golden = 0x9E3779B9u;
    const unsigned head = mixed(unsigned(b * p.heads + h) * golden + p.seed);
    return mixed(mixed(head + i * golden) + j * golden) >= p.threshold ? p.keep_scale : 0;
}

// What dropout multiplies this weight by: 0, or 1 / (1 - dropout_p). The same in the forward and the backward pass.
__device__ inline float kept(const Problem& p, int b, int h, int i, int j) {
    return p.threshold == 0 ? 1 : dropped_or_kept(p, b, h, i, j);
}

// A maximum of -inf would make exp(-inf - -inf) a NaN: whoever has seen no key yet subtracts 0.
__device__ inline float base_of(float m) { return m == -INFINITY ? 0 : m; }

// lse = m + log(l), natural. l is 0 exactly where no key was seen, and NaN where a score was.
__device__ inline float lse_of(float m, float l) { return l == 0 ? -INFINITY : m + logf(l); }

constexpr unsigned ALL_LANES = 0xffffffffu;

// Every lane gets the sum: after the step of 16, lanes that are 16 apart agree, and so on down to neighbours. Over a
// part of the warp, a power of two of neighbouring lanes, all 32 take part too.
__device__ inline float sum_over_lanes(float x, int lanes = 32) {
    for (int distance = lanes / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(ALL_LANES, x, distance);
    return x;
}

inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Make Kernel<T, WIDTH>::launch for the dtype of the problem and the narrowest WIDTH that holds its heads.
template <template <class, int> class Kernel, class... Arguments>
int dispatch(const Problem& p, Arguments... arguments) {
    const int widest = max(p.d, p.d_v);
    if (widest > 128) return cudaErrorInvalidValue;
    if (p.is_half) {
        if (widest <= 32) Kernel<half, 32>::launch(p, arguments...);
        else if (widest <= 64) Kernel<half, 64>::launch(p, arguments...);
        else Kernel<half, 128>::launch(p, arguments...);
    } else {
        if (widest <= 32) Kernel<float, 32>::launch(p, arguments...);
        else if (widest <= 64) Kernel<float, 64>::launch(p, arguments...);
        else Kernel<float, 128>::launch(p, arguments...);
    }
    return cudaGetLastError();
}
