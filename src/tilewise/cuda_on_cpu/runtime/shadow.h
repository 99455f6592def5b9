// Who touched a byte last, for finding races and memory that nobody has written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace tilewise {

// One access: when, by whom, and from which line.
struct Stamp {
    std::uint32_t block = 0;  // the block's serial number; 0: never
    std::uint32_t epoch = 0;  // barriers that the block had passed
    std::uint32_t clock = 0;  // the thread's own count of warp barriers
    std::uint16_t thread = 0;
    std::uint16_t site = 0;
};

// Two readers are remembered: a write races with either, and often one of them is the writer itself.
struct Cell {
    Stamp write, reads[2];
};

// Cells for a range of memory, each for `granule` bytes: 4, or fewer once a smaller access has been seen.
class Shadow {
public:
    void cover(const char* begin, size_t bytes);
    bool covers(const char* address) const { return size_t(address - begin_) < bytes_; }

    // Call visit(cell) for every cell of an access that lies in the range.
    template <class Visit>
    void each(const char* address, unsigned size, Visit visit) {
        if (!cells_ || size < granule_ || size_t(address - begin_) % granule_) refine(address, size);
        size_t first = size_t(address - begin_) / granule_, last = (size_t(address - begin_) + size - 1) / granule_;
        for (size_t i = first; i <= last; ++i) visit(cells_.get()[i]);
    }

private:
    void refine(const char* address, unsigned size);

    struct Free {
        void operator()(Cell* cells) const { std::free(cells); }
    };
    const char* begin_ = nullptr;
    size_t bytes_ = 0;
    unsigned granule_ = 4;
    std::unique_ptr<Cell, Free> cells_;
};

}  // namespace tilewise
