#include "shadow.h"

#include <cstdlib>
#include <cstring>

namespace tilewise {

static_assert(sizeof(Cell) == 48, "a cell of only zero bytes must mean: never touched");

void Shadow::cover(const char* begin, size_t bytes) {
    if (begin == begin_ && bytes == bytes_) return;  // stamps tell by their numbers which block they are of
    begin_ = begin;
    bytes_ = bytes;
    granule_ = 4;
    cells_.reset();
}

void Shadow::refine(const char* address, unsigned size) {
    size_t offset = size_t(address - begin_);
    unsigned wanted = granule_;
    while (wanted > size || offset % wanted) wanted /= 2;
    size_t count = (bytes_ + wanted - 1) / wanted;
    // calloc leaves pages that nobody touches unused, however large the allocation is.
    std::unique_ptr<Cell, Free> finer(static_cast<Cell*>(std::calloc(count, sizeof(Cell))));
    if (!finer) std::abort();
    if (cells_) {
        static const Cell untouched{};
        for (size_t i = 0; i < count; ++i) {
            const Cell& coarse = cells_.get()[i * wanted / granule_];
            if (std::memcmp(&coarse, &untouched, sizeof(Cell)) != 0) finer.get()[i] = coarse;
        }
    }
    cells_ = std::move(finer);
    granule_ = wanted;
}

}  // namespace tilewise
