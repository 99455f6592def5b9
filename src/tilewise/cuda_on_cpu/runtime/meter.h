// Counts of what kernels move: bytes, 32-byte sectors of global memory, bank conflicts of shared memory.
#pragma once

#include <unordered_map>
#include <vector>

#include "block.h"

namespace tilewise {

enum class Access : int { load, store, atomic };
enum class Space : int { global, shared };

// The counts of one instruction, as Python's ctypes reads them.
struct Tally {
    Place at;
    Access access;
    Space space;
    std::uint64_t bytes;       // asked for by all threads
    std::uint64_t requests;    // instructions issued by warps
    std::uint64_t sectors;     // global: 32-byte pieces moved, each once a request
    std::uint64_t wavefronts;  // shared: turns that the 32 banks took
    std::uint64_t conflicts;   // wavefronts beyond those that the width of the access needs
};

class Meter {
public:
    // The number of an instruction, the same for every call from there.
    unsigned site(Place at, Access access, Space space);
    const Tally& tally(unsigned site) const { return tallies_[site]; }
    size_t sites() const { return tallies_.size(); }

    void note(const Thread& thread, unsigned site, const char* address, unsigned size);
    // The lanes of a warp stand at one point again: what they did until here is complete.
    void settle(unsigned warp);
    void clear();

private:
    // The n-th time that the lanes of a warp execute an instruction is one request, in whatever order fibers run them.
    struct Request {
        unsigned lanes = 0;
        const char* address[lanes_of_warp];
    };
    struct Trace {
        unsigned size = 0;
        unsigned times[lanes_of_warp] = {};
        std::vector<Request> requests;
    };
    void add(Tally& tally, const Request& request, unsigned size);

    std::unordered_map<std::uint64_t, unsigned> numbers_;
    std::vector<Tally> tallies_;
    std::vector<Trace> traces_[most_threads / lanes_of_warp];
    std::vector<unsigned> active_[most_threads / lanes_of_warp];
};

}  // namespace tilewise
