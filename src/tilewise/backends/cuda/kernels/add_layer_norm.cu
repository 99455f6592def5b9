// y = LayerNorm(x + residual) * weight + bias in one kernel: the sum is written once, because the next layer's residual
// is that sum, and is never read back from outside the warp that made it.
#include "problem.cuh"

constexpr int NORM_WARPS = 4;

// A warp per row. A lane reads again only what it wrote itself, so no barrier is needed between the three walks.
template <class T>
__global__ void add_layer_norm(int rows, int columns, float eps, const T* x, const T* residual, const T* weight,
                               const T* bias, T* sum, T* y) {
    const int lane = threadIdx.x % 32, row = blockIdx.x * NORM_WARPS + threadIdx.x / 32;
    if (row >= rows) return;  // the whole warp leaves: no shuffle waits for it
    const std::int64_t begin = std::int64_t(row) * columns;
    float total = 0;
    for (int c = lane; c < columns; c += 32) {
        const T added = T(float(x[begin + c]) + float(residual[begin + c]));
        sum[begin + c] = added;
        total += float(added);
    }
    const float mean = sum_over_lanes(total) / columns;
    // The mean of squares minus the square of the mean would lose all digits where the mean is large.
    float squares = 0;
    for (int c = lane; c < columns; c += 32) {
        const float centred = float(sum[begin + c]) - mean;
        squares += centred * centred;
    }
    const float inverse = rsqrtf(sum_over_lanes(squares) / columns + eps);
    for (int c = lane; c < columns; c += 32) {
        const float normal = (float(sum[begin + c]) - mean) * inverse;
        y[begin + c] = T(normal * float(weight[c]) + float(bias[c]));
    }
}

template <class T>
static int launch(int rows, int columns, float eps, const void* x, const void* residual, const void* weight,
                  const void* bias, void* sum, void* y, cudaStream_t stream) {
    TW_LAUNCH(add_layer_norm<T>, dim3(ceil_div(rows, NORM_WARPS)), dim3(32 * NORM_WARPS), 0, stream)
    (rows, columns, eps, static_cast<const T*>(x), static_cast<const T*>(residual), static_cast<const T*>(weight),
     static_cast<const T*>(bias), static_cast<T*>(sum), static_cast<T*>(y));
    return cudaGetLastError();
}

// x, residual, sum, y: (rows, columns) without gaps   weight, bias: (columns,)
extern "C" int tw_add_layer_norm(int is_half, int rows, int columns, float eps, const void* x, const void* residual,
                           const void* weight, const void* bias, void* sum, void* y, cudaStream_t stream) {
    return is_half ? launch<half>(rows, columns, eps, x, residual, weight, bias, sum, y, stream)
                   : launch<float>(rows, columns, eps, x, residual, weight, bias, sum, y, stream);
}
