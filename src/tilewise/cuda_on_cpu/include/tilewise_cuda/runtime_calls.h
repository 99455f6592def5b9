// The calls of the CUDA runtime that programs of this kind make. Streams and events run in order, at once.
#pragma once

enum cudaError_t : int {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorNotReady = 600,
    cudaErrorLaunchFailure = 719,
};
enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};
enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
    cudaFuncAttributePreferredSharedMemoryCarveout = 9
};
enum cudaDeviceAttr {
    cudaDevAttrMaxThreadsPerBlock = 1,
    cudaDevAttrMaxSharedMemoryPerBlock = 8,
    cudaDevAttrWarpSize = 10,
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
// Of CUDA's, the fields that programs read.
struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin;
    int warpSize, maxThreadsPerBlock, maxThreadsDim[3], maxGridSize[3];
    int major, minor, multiProcessorCount;
};
using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st {
    double milliseconds;
}*;

extern "C" {
cudaError_t cudaGetLastError() noexcept;
cudaError_t cudaPeekAtLastError() noexcept;
const char* cudaGetErrorString(cudaError_t error) noexcept;
const char* cudaGetErrorName(cudaError_t error) noexcept;
cudaError_t cudaFree(void* memory) noexcept;
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) noexcept;
cudaError_t cudaMemset(void* memory, int value, size_t bytes) noexcept;
cudaError_t cudaDeviceSynchronize() noexcept;
cudaError_t cudaGetDevice(int* device) noexcept;
cudaError_t cudaSetDevice(int device) noexcept;
cudaError_t cudaGetDeviceCount(int* count) noexcept;
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) noexcept;
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) noexcept;
cudaError_t cudaStreamSynchronize(cudaStream_t stream) noexcept;
cudaError_t cudaStreamCreate(cudaStream_t* stream) noexcept;
cudaError_t cudaStreamDestroy(cudaStream_t stream) noexcept;
cudaError_t cudaEventDestroy(cudaEvent_t event) noexcept;
cudaError_t cudaEventSynchronize(cudaEvent_t event) noexcept;
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) noexcept;
cudaError_t tw_malloc(void** memory, size_t bytes, const char* name) noexcept;
cudaError_t tw_event_create(cudaEvent_t* event) noexcept;
cudaError_t tw_event_record(cudaEvent_t event) noexcept;
cudaError_t tw_kernel_attribute(const void* kernel, cudaFuncAttribute attribute, int value) noexcept;
}

template <class T>
cudaError_t cudaMalloc(T** memory, size_t bytes) {
    return tw_malloc(reinterpret_cast<void**>(memory), bytes, "memory of cudaMalloc");
}
constexpr unsigned cudaMemAttachGlobal = 1;
template <class T>
cudaError_t cudaMallocManaged(T** memory, size_t bytes, unsigned = cudaMemAttachGlobal) {
    return tw_malloc(reinterpret_cast<void**>(memory), bytes, "memory of cudaMallocManaged");
}
template <class T>
cudaError_t cudaMallocHost(T** memory, size_t bytes, unsigned = 0) {
    return tw_malloc(reinterpret_cast<void**>(memory), bytes, "memory of cudaMallocHost");
}
inline cudaError_t cudaFreeHost(void* memory) { return cudaFree(memory); }
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t = nullptr) {
    return cudaMemcpy(to, from, bytes, kind);
}
inline cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t = nullptr) {
    return cudaMemset(memory, value, bytes);
}
template <class T>
cudaError_t cudaMemcpyToSymbol(T& symbol, const void* from, size_t bytes, size_t offset = 0,
                               cudaMemcpyKind kind = cudaMemcpyHostToDevice) {
    return cudaMemcpy(reinterpret_cast<char*>(&symbol) + offset, from, bytes, kind);
}
template <class T>
cudaError_t cudaMemcpyFromSymbol(void* to, const T& symbol, size_t bytes, size_t offset = 0,
                                 cudaMemcpyKind kind = cudaMemcpyDeviceToHost) {
    return cudaMemcpy(to, reinterpret_cast<const char*>(&symbol) + offset, bytes, kind);
}
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute attribute, int value) {
    return tw_kernel_attribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
inline cudaError_t cudaEventCreate(cudaEvent_t* event) { return tw_event_create(event); }
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t = nullptr) { return tw_event_record(event); }
