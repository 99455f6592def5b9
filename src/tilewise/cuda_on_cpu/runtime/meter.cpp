#include "meter.h"

namespace tilewise {

constexpr unsigned sector_bytes = 32, banks = 32, bank_bytes = 4, banks_width = banks * bank_bytes;
constexpr size_t most_sites = 65535;  // a stamp keeps 16 bits

unsigned Meter::site(Place at, Access access, Space space) {
    auto where = at.code ? reinterpret_cast<std::uint64_t>(at.code)
                         : reinterpret_cast<std::uint64_t>(at.file) * 31 + std::uint64_t(at.line);
    // User addresses have 47 bits, so two bits below the word are free.
    std::uint64_t key = where * 8 + std::uint64_t(access) * 2 + std::uint64_t(space);
    auto [found, fresh] = numbers_.try_emplace(key, unsigned(tallies_.size()));
    if (fresh) {
        if (tallies_.size() == most_sites) std::abort();
        tallies_.push_back({at, access, space, 0, 0, 0, 0, 0});
    }
    return found->second;
}

void Meter::note(const Thread& thread, unsigned site, const char* address, unsigned size) {
    auto& traces = traces_[thread.warp()];
    if (site >= traces.size()) traces.resize(tallies_.size());
    Trace& trace = traces[site];
    if (trace.requests.empty()) active_[thread.warp()].push_back(site);
    unsigned lane = thread.identity.lane, time = trace.times[lane]++;
    if (time == trace.requests.size()) trace.requests.emplace_back();
    trace.size = size;
    trace.requests[time].lanes |= 1u << lane;
    trace.requests[time].address[lane] = address;
}

void Meter::settle(unsigned warp) {
    for (unsigned site : active_[warp]) {
        Trace& trace = traces_[warp][site];
        for (const Request& request : trace.requests) add(tallies_[site], request, trace.size);
        trace.requests.clear();
        std::memset(trace.times, 0, sizeof trace.times);
    }
    active_[warp].clear();
}

void Meter::clear() {
    numbers_.clear();
    tallies_.clear();
    for (auto& traces : traces_) traces.clear();
    for (auto& active : active_) active.clear();
}

// Different values among a few, kept in the order of their coming.
struct Distinct {
    unsigned count = 0;
    std::uintptr_t values[lanes_of_warp * 2];
    bool add(std::uintptr_t value) {
        for (unsigned i = count; i-- > 0;)  // neighbours come one after the other
            if (values[i] == value) return false;
        if (count < lanes_of_warp * 2) values[count++] = value;
        return true;
    }
};

static unsigned sectors_of(const char* const* address, unsigned lanes, unsigned size) {
    Distinct sectors;
    for (unsigned lane = 0; lane < lanes_of_warp; ++lane) {
        if (!(lanes >> lane & 1)) continue;
        auto first = reinterpret_cast<std::uintptr_t>(address[lane]);
        sectors.add(first / sector_bytes);
        sectors.add((first + size - 1) / sector_bytes);
    }
    return sectors.count;
}

// Lanes that read the same word share one turn; different words of one bank take one turn each.
static unsigned turns_of(const char* const* address, unsigned lanes, unsigned size) {
    Distinct words;
    unsigned per_bank[banks] = {}, turns = 0;
    for (unsigned lane = 0; lane < lanes_of_warp; ++lane) {
        if (!(lanes >> lane & 1)) continue;
        auto first = reinterpret_cast<std::uintptr_t>(address[lane]) / bank_bytes;
        auto last = (reinterpret_cast<std::uintptr_t>(address[lane]) + size - 1) / bank_bytes;
        for (auto word = first; word <= last; ++word)
            if (words.add(word)) turns = max(turns, ++per_bank[word % banks]);
    }
    return turns;
}

void Meter::add(Tally& tally, const Request& request, unsigned size) {
    tally.bytes += std::uint64_t(__builtin_popcount(request.lanes)) * size;
    ++tally.requests;
    if (tally.space == Space::global) {
        tally.sectors += sectors_of(request.address, request.lanes, size);
        return;
    }
    // All banks together give 128 bytes: 8-byte accesses go by half warps, 16-byte accesses by quarters.
    unsigned group = size <= bank_bytes ? lanes_of_warp : max(banks_width / size, 1u);
    for (unsigned first = 0; first < lanes_of_warp; first += group) {
        unsigned lanes = request.lanes & (group == lanes_of_warp ? ~0u : ((1u << group) - 1) << first);
        if (!lanes) continue;
        unsigned turns = turns_of(request.address, lanes, size);
        tally.wavefronts += turns;
        tally.conflicts += turns - 1;
    }
}

}  // namespace tilewise
