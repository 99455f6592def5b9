// Calls of the CUDA runtime that only answer, copy or take the time.
#include <unistd.h>

#include <ctime>

#include "block.h"

constexpr int multiprocessors = 1, compute_capability[] = {9, 0};

static double milliseconds_now() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return double(now.tv_sec) * 1e3 + double(now.tv_nsec) * 1e-6;
}

extern "C" {

const char* cudaGetErrorName(cudaError_t error) noexcept {
    switch (error) {
        case cudaSuccess: return "cudaSuccess";
        case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
        case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
        case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
        case cudaErrorNotReady: return "cudaErrorNotReady";
        case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    }
    return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) noexcept {
    switch (error) {
        case cudaSuccess: return "no error";
        case cudaErrorInvalidValue: return "invalid argument";
        case cudaErrorMemoryAllocation: return "out of memory";
        case cudaErrorInvalidConfiguration: return "invalid configuration argument";
        case cudaErrorNotReady: return "device not ready";
        case cudaErrorLaunchFailure: return "unspecified launch failure";
    }
    return "unrecognized error code";
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) noexcept {
    if (bytes && (!to || !from)) return cudaErrorInvalidValue;
    if (bytes) std::memmove(to, from, bytes);
    return cudaSuccess;
}
cudaError_t cudaMemset(void* memory, int value, size_t bytes) noexcept {
    if (bytes && !memory) return cudaErrorInvalidValue;
    if (bytes) std::memset(memory, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() noexcept { return cudaPeekAtLastError(); }
cudaError_t cudaGetDevice(int* device) noexcept { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int device) noexcept { return device ? cudaErrorInvalidValue : cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) noexcept { return *count = 1, cudaSuccess; }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) noexcept {
    switch (attribute) {
        case cudaDevAttrMaxThreadsPerBlock: *value = int(tilewise::most_threads); break;
        case cudaDevAttrMaxSharedMemoryPerBlock: *value = int(tilewise::usual_shared_bytes); break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = int(tilewise::most_shared_bytes); break;
        case cudaDevAttrWarpSize: *value = int(tilewise::lanes_of_warp); break;
        case cudaDevAttrMultiProcessorCount: *value = multiprocessors; break;
        case cudaDevAttrComputeCapabilityMajor: *value = compute_capability[0]; break;
        case cudaDevAttrComputeCapabilityMinor: *value = compute_capability[1]; break;
        default: return cudaErrorInvalidValue;
    }
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) noexcept {
    if (device) return cudaErrorInvalidValue;
    constexpr int threads = int(tilewise::most_threads), rows = int(tilewise::most_grid_rows);
    *properties = {"Tilewise's executor on a CPU",
                   size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE)),
                   tilewise::usual_shared_bytes,
                   tilewise::most_shared_bytes,
                   int(tilewise::lanes_of_warp),
                   threads,
                   {threads, threads, int(tilewise::most_block_depth)},
                   {int(tilewise::most_grid_columns), rows, rows},
                   compute_capability[0],
                   compute_capability[1],
                   multiprocessors};
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) noexcept { return cudaPeekAtLastError(); }
cudaError_t cudaStreamCreate(cudaStream_t* stream) noexcept { return *stream = nullptr, cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t) noexcept { return cudaSuccess; }

cudaError_t tw_event_create(cudaEvent_t* event) noexcept { return *event = new CUevent_st{0.0}, cudaSuccess; }
cudaError_t tw_event_record(cudaEvent_t event) noexcept {
    return event->milliseconds = milliseconds_now(), cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) noexcept { return delete event, cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) noexcept { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) noexcept {
    return *milliseconds = float(end->milliseconds - start->milliseconds), cudaSuccess;
}

}  // extern "C"
