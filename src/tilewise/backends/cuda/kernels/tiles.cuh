// Tiles in shared memory, and the two products that attention is made of, for a block of 8 x 16 threads.
//
// Thread (x, y), x < 8 and y < 16, owns of a tile of scores the rows y, y + 16, ... and the columns x, x + 8, ...; of
// an output tile the same rows, and four neighbouring features in every 32, from 4x on. So eight lanes share a row.
#pragma once

#include "problem.cuh"

constexpr int LANES_X = 8, LANES_Y = 16;
constexpr int THREADS = LANES_X * LANES_Y;
constexpr int COLUMNS = 4;  // of scores that a thread owns: a tile has 32 columns
constexpr int BLOCK_N = COLUMNS * LANES_X;

// Rows of a tile lie 4 floats further apart than they are long. Eight lanes that read four floats each of eight rows
// then find them in all 32 banks; with no gap they would all want the same four, one after another.
template <int WIDTH>
constexpr int row_stride = WIDTH + 4;
// Scores: four rows of a warp written at once, eight columns each, fill the 32 banks when rows are 8 banks apart.
constexpr int SCORE_STRIDE = BLOCK_N + 8;

template <class T>
struct alignas(4 * sizeof(T)) Four {
    T x, y, z, w;
};

template <class T>
__device__ inline float4 load_four(const T* from) {
    const Four<T> four = *reinterpret_cast<const Four<T>*>(from);
    return make_float4(float(four.x), float(four.y), float(four.z), float(four.w));
}

template <class T>
__device__ inline void store_four(T* to, float4 v) {
    const Four<T> four = {T(v.x), T(v.y), T(v.z), T(v.w)};
    *reinterpret_cast<Four<T>*>(to) = four;
}

__device__ inline float4& at_four(float* tile) { return *reinterpret_cast<float4*>(tile); }
__device__ inline const float4& at_four(const float* tile) { return *reinterpret_cast<const float4*>(tile); }

__device__ inline float dot(const float4& a, const float4& b) { return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w; }
__device__ inline float4 scaled(const float4& v, float factor) {
    return make_float4(v.x * factor, v.y * factor, v.z * factor, v.w * factor);
}
__device__ inline void add_scaled(float4& sum, float weight, const float4& v) {
    sum.x += weight * v.x;
    sum.y += weight * v.y;
    sum.z += weight * v.z;
    sum.w += weight * v.w;
}

// Copy rows into a tile as floats, four features a thread: neighbours in a warp read neighbours in memory. What is not
// there is 0, so that products need not ask. d is a multiple of 4, and rows start at a multiple of four elements.
template <class T, int ROWS, int WIDTH>
__device__ inline void load_tile(float* tile, const T* rows, std::int64_t stride, int first, int stop, int d) {
    constexpr int FOURS = WIDTH / 4;
    for (int piece = threadIdx.x; piece < ROWS * FOURS; piece += THREADS) {
        const int row = piece / FOURS, column = piece % FOURS * 4;
        const bool there = first + row < stop && column < d;
        at_four(tile + row * row_stride<WIDTH> + column) =
            there ? load_four(rows + (first + row) * stride + column) : make_float4(0, 0, 0, 0);
    }
}

// s[r][c] += a[y + 16 r] @ b[x + 8 c]: each float that comes from shared memory is used for several products.
template <int ROWS, int WIDTH>
__device__ inline void add_row_products(float (&s)[ROWS][COLUMNS], const float* a, const float* b) {
    const int x = threadIdx.x % LANES_X, y = threadIdx.x / LANES_X;
#pragma unroll 4
    for (int d = 0; d < WIDTH; d += 4) {
        float4 a_row[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; ++r) a_row[r] = at_four(a + (y + LANES_Y * r) * row_stride<WIDTH> + d);
#pragma unroll
        for (int c = 0; c < COLUMNS; ++c) {
            const float4 b_row = at_four(b + (x + LANES_X * c) * row_stride<WIDTH> + d);
#pragma unroll
            for (int r = 0; r < ROWS; ++r) s[r][c] += dot(a_row[r], b_row);
        }
    }
}

// acc[r] += weights[y + 16 r] @ b, of which this thread sums the features 4x, 4x + 32, ...
template <int ROWS, int WIDTH>
__device__ inline void add_weighted_rows(float4 (&acc)[ROWS][WIDTH / 32], const float* weights, const float* b) {
    const int x = threadIdx.x % LANES_X, y = threadIdx.x / LANES_X;
#pragma unroll 4
    for (int j = 0; j < BLOCK_N; ++j) {
#pragma unroll
        for (int e = 0; e < WIDTH / 32; ++e) {
            const float4 b_row = at_four(b + j * row_stride<WIDTH> + 32 * e + 4 * x);
#pragma unroll
            for (int r = 0; r < ROWS; ++r) add_scaled(acc[r][e], weights[(y + LANES_Y * r) * SCORE_STRIDE + j], b_row);
        }
    }
}

// Write what `add_weighted_rows` summed, times a factor for each row.
template <class T, int ROWS, int WIDTH>
__device__ inline void store_rows(T* rows, std::int64_t stride, int first, int stop, int d,
                                  const float4 (&acc)[ROWS][WIDTH / 32], const float (&factor)[ROWS]) {
    const int x = threadIdx.x % LANES_X, y = threadIdx.x / LANES_X;
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        const int row = first + y + LANES_Y * r;
        for (int e = 0; e < WIDTH / 32; ++e) {
            const int column = 32 * e + 4 * x;
            if (row < stop && column < d) store_four(rows + row * stride + column, scaled(acc[r][e], factor[r]));
        }
    }
}

// Over the eight lanes that share a row; all lanes of the warp take part.
__device__ inline float max_over_row(float x) {
    for (int distance = LANES_X / 2; distance > 0; distance /= 2)
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, distance));
    return x;
}
