// Launches: the limits of a GPU, blocks over operating-system threads, and the error that a launch leaves.
#include <sched.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "checker.h"
#include "faults.h"
#include "objects.h"

namespace tilewise {

constexpr unsigned most_workers = 8;  // each reserves 128 MiB of addresses for stacks

static std::mutex launch_lock;  // one launch at a time, as in one stream
static Checker checker;
static unsigned next_serial = 1;
static unsigned wanted_workers = 0;
static std::unordered_map<const void*, size_t> granted_shared;  // by cudaFuncSetAttribute
static std::vector<std::unique_ptr<Room>> rooms;
static cudaError_t last_error = cudaSuccess;

static unsigned worker_count(const Launch& launch, std::uint64_t blocks) {
    if (launch.checked) return 1;  // one order of events, the same every time
    cpu_set_t usable;
    unsigned count = wanted_workers;
    if (!count) count = sched_getaffinity(0, sizeof usable, &usable) == 0 ? unsigned(CPU_COUNT(&usable)) : 1;
    return unsigned(min(std::uint64_t(min(count, most_workers)), blocks));
}

static size_t static_shared_bytes(const void* kernel) {
    size_t bytes = 0;
    if (auto* arrays = static_shared(kernel))
        for (const Variable& array : *arrays) bytes += array.bytes;
    return bytes;
}

static bool shared_memory_fits(const Launch& launch) {
    Place at{launch.file, launch.line};
    size_t fixed = static_shared_bytes(launch.kernel);
    if (fixed > usual_shared_bytes) {  // nvcc would not even compile it
        tell_launch("too_much_shared_memory", at,
                    "%s: %zu bytes of static shared memory, all its __shared__ arrays together; a kernel has at most "
                    "%zu. What is more has to be dynamic shared memory",
                    launch.kernel_name, fixed, usual_shared_bytes);
        return false;
    }
    auto granted = granted_shared.find(launch.kernel);
    size_t most = max(granted == granted_shared.end() ? 0 : granted->second, usual_shared_bytes - fixed);
    if (launch.shared_bytes > most) {
        tell_launch("too_much_shared_memory", at,
                    "%s: %zu bytes of dynamic shared memory beside %zu of static; this launch may have %zu. More needs "
                    "cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), and %zu is the "
                    "most for both together",
                    launch.kernel_name, launch.shared_bytes, fixed, most, most_shared_bytes);
        return false;
    }
    return true;
}

static bool within_limits(const Launch& launch) {
    dim3 grid = launch.grid, block = launch.block;
    Place at{launch.file, launch.line};
    std::uint64_t threads = std::uint64_t(block.x) * block.y * block.z;
    if (threads > most_threads || block.z > most_block_depth) {
        tell_launch("too_many_threads", at,
                    "%s: a block of %u x %u x %u = %llu threads; a block has at most %u, and a depth of at most %u",
                    launch.kernel_name, block.x, block.y, block.z, static_cast<unsigned long long>(threads),
                    most_threads, most_block_depth);
        last_error = cudaErrorInvalidConfiguration;
        return false;
    }
    if (!threads || !grid.x || !grid.y || !grid.z || grid.x > most_grid_columns || grid.y > most_grid_rows ||
        grid.z > most_grid_rows) {
        tell_launch("invalid_launch", at,
                    "%s: a grid of %u x %u x %u blocks of %llu threads; every size is at least 1, and y and z of the "
                    "grid at most %u",
                    launch.kernel_name, grid.x, grid.y, grid.z, static_cast<unsigned long long>(threads),
                    most_grid_rows);
        last_error = cudaErrorInvalidConfiguration;
        return false;
    }
    if (!shared_memory_fits(launch)) {
        last_error = cudaErrorInvalidValue;
        return false;
    }
    return true;
}

static void work(const Launch& launch, Room& room, std::atomic<std::uint64_t>& next, std::uint64_t blocks,
                 unsigned first_serial, std::atomic<bool>& stopped) {
    Module module = module_of(launch);
    auto block = std::make_unique<Block>();
    for (std::uint64_t number; !stopped && (number = next++) < blocks;) {
        *block = Block{};
        block->launch = &launch;
        block->index = {unsigned(number % launch.grid.x), unsigned(number / launch.grid.x % launch.grid.y),
                        unsigned(number / launch.grid.x / launch.grid.y)};
        block->serial = first_serial + unsigned(number);
        block->static_shared = module.shared;
        block->static_bytes = module.shared_bytes;
        block->dynamic_shared = room.dynamic_shared;
        if (launch.checked) {
            block->checker = &checker;
            checker.begin_block(*block);
        }
        run_block(*block, room);
        if (block->stopped) stopped = true;
    }
}

static bool open_rooms(unsigned& workers) {
    while (rooms.size() < workers) {
        auto room = std::make_unique<Room>();
        if (!room->open()) break;  // under a limit of addresses, fewer workers do
        rooms.push_back(std::move(room));
    }
    workers = unsigned(min(size_t(workers), rooms.size()));
    return workers > 0;
}

static void run(const Launch& launch) {
    std::uint64_t blocks = std::uint64_t(launch.grid.x) * launch.grid.y * launch.grid.z;
    unsigned workers = worker_count(launch, blocks);
    if (!open_rooms(workers)) {
        tell_launch("invalid_launch", {launch.file, launch.line},
                    "%s: no room for the stacks of a block, %zu MiB of addresses", launch.kernel_name,
                    most_threads * stack_bytes >> 20);
        last_error = cudaErrorMemoryAllocation;
        return;
    }
    if (launch.checked) checker.begin_launch(launch, module_of(launch), next_serial);
    std::atomic<std::uint64_t> next{0};
    std::atomic<bool> stopped{false};
    std::vector<std::thread> helpers;
    for (unsigned i = 1; i < workers; ++i)
        helpers.emplace_back([&, i] { work(launch, *rooms[i], next, blocks, next_serial, stopped); });
    work(launch, *rooms[0], next, blocks, next_serial, stopped);
    for (std::thread& helper : helpers) helper.join();
    if (launch.checked) checker.end_launch();
    next_serial += unsigned(blocks);
    if (stopped) last_error = cudaErrorLaunchFailure;
}

}  // namespace tilewise

using namespace tilewise;

extern "C" {

void tw_launch(const Launch* launch) noexcept {
    std::lock_guard<std::mutex> hold(launch_lock);
    if (within_limits(*launch)) run(*launch);
    std::fflush(stdout);  // what kernels printed comes before what their caller prints
}

cudaError_t tw_kernel_attribute(const void* kernel, cudaFuncAttribute attribute, int value) noexcept {
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    std::lock_guard<std::mutex> hold(launch_lock);
    if (value < 0 || static_shared_bytes(kernel) + size_t(value) > most_shared_bytes)
        return last_error = cudaErrorInvalidValue;
    granted_shared[kernel] = size_t(value);
    return cudaSuccess;
}

cudaError_t cudaPeekAtLastError() noexcept { return last_error; }
cudaError_t cudaGetLastError() noexcept {
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

// For Python: how many operating-system threads run blocks; 0 for as many as the process may use.
void tw_use_workers(unsigned count) noexcept { wanted_workers = count; }
void tw_forget_counts() noexcept { checker.forget(); }
size_t tw_tally_count() noexcept { return checker.meter.sites(); }
const Tally* tw_tally(size_t number) noexcept { return &checker.meter.tally(unsigned(number)); }

}  // extern "C"
