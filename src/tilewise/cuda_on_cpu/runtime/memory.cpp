#include "memory.h"

#include <link.h>
#include <sys/mman.h>

#include <map>
#include <mutex>

namespace tilewise {

static std::mutex allocations_lock;
static std::map<const char*, Allocation> allocations;

Allocation* allocation_at(const char* address) {
    auto after = allocations.upper_bound(address);
    if (after == allocations.begin()) return nullptr;
    Allocation& found = std::prev(after)->second;
    return address < found.begin + found.bytes ? &found : nullptr;
}

size_t distance(const char* address, const char* begin, size_t bytes) {
    if (address < begin) return size_t(begin - address);
    size_t offset = size_t(address - begin);
    return offset < bytes ? 0 : offset - bytes + 1;
}

Allocation* nearest_allocation(const char* address) {
    Allocation* nearest = nullptr;
    size_t least = SIZE_MAX;
    for (auto& [begin, allocation] : allocations) {
        size_t away = distance(address, begin, allocation.bytes);
        // A wrong stride goes as far again as the memory is large. Variables lie close to each other.
        if (away >= least || away >= max(margin, allocation.mapping ? allocation.bytes : 0)) continue;
        nearest = &allocation;
        least = away;
    }
    return nearest;
}

static int look_at_object(dl_phdr_info* object, size_t, void* sought) {
    auto& [code, module] = *static_cast<std::pair<const char*, Module>*>(sought);
    Module seen;
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const auto& part = object->dlpi_phdr[i];
        auto* begin = reinterpret_cast<const char*>(object->dlpi_addr + part.p_vaddr);
        if (part.p_type == PT_LOAD) {
            if (!seen.begin || begin < seen.begin) seen.begin = begin;
            if (begin + part.p_memsz > seen.end) seen.end = begin + part.p_memsz;
            if (part.p_flags & PF_W) seen.variables = begin, seen.variables_end = begin + part.p_memsz;
        } else if (part.p_type == PT_TLS) {
            seen.shared = static_cast<char*>(object->dlpi_tls_data);
            seen.shared_bytes = part.p_memsz;
        }
    }
    if (code < seen.begin || code >= seen.end) return 0;
    module = seen;
    return 1;
}

Module module_of(const Launch& launch) {
    launch.touch_shared();  // thread-local storage exists from its first use on
    std::pair<const char*, Module> sought{reinterpret_cast<const char*>(launch.run_thread), {}};
    dl_iterate_phdr(look_at_object, &sought);
    const Variable& constants = variables_beside(launch.kernel).constants;
    sought.second.constants = sought.second.begin + constants.begin;
    sought.second.constants_end = sought.second.constants + constants.bytes;
    return sought.second;
}

void add_variables(const Launch& launch, const Module& module) {
    std::lock_guard<std::mutex> hold(allocations_lock);
    for (const Variable& variable : variables_beside(launch.kernel).device) {
        char* begin = const_cast<char*>(module.begin) + variable.begin;
        auto [added, fresh] = allocations.try_emplace(begin);
        if (!fresh) continue;
        std::snprintf(added->second.name, sizeof added->second.name, "%s", variable.name.c_str());
        added->second.begin = begin;
        added->second.bytes = variable.bytes;
        added->second.shadow.cover(begin, variable.bytes);
    }
}

static void* allocate(const char* name, size_t bytes, size_t offset) {
    size_t mapped = (offset + bytes + page - 1) / page * page + 2 * margin;
    void* mapping = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) return nullptr;
    char* begin = static_cast<char*>(mapping) + margin + offset;
    std::lock_guard<std::mutex> hold(allocations_lock);
    Allocation& added = allocations[begin];
    std::snprintf(added.name, sizeof added.name, "%s", name);
    added.begin = begin;
    added.bytes = bytes;
    added.mapping = mapping;
    added.mapped = mapped;
    added.shadow.cover(begin, bytes);
    return begin;
}

static bool release(void* memory) {
    std::lock_guard<std::mutex> hold(allocations_lock);
    auto found = allocations.find(static_cast<char*>(memory));
    if (found == allocations.end() || !found->second.mapping) return false;
    munmap(found->second.mapping, found->second.mapped);
    allocations.erase(found);
    return true;
}

}  // namespace tilewise

using namespace tilewise;

extern "C" {

// For Python: a named allocation, `offset` bytes past a page's beginning. -> null when there is no room
void* tw_allocate(const char* name, size_t bytes, size_t offset) noexcept { return allocate(name, bytes, offset); }
int tw_release(void* memory) noexcept { return release(memory); }

cudaError_t tw_malloc(void** memory, size_t bytes, const char* name) noexcept {
    if (!memory) return cudaErrorInvalidValue;
    *memory = bytes ? allocate(name, bytes, 0) : nullptr;
    if (!bytes) return cudaSuccess;
    if (!*memory) return cudaErrorMemoryAllocation;
    std::memset(*memory, 0xff, bytes);  // fresh memory holds no zeros on a GPU either
    return cudaSuccess;
}

cudaError_t cudaFree(void* memory) noexcept { return !memory || release(memory) ? cudaSuccess : cudaErrorInvalidValue; }

}  // extern "C"
