// Shuffles, votes and matches. Every one is a meeting: the lanes of a mask each bring an argument, the last one to come
// works out everybody's result while the others stand still. (ldmatrix and mma.sync have the same form.)
#pragma once

namespace tilewise {

// arguments: 32 pointers, one a lane, valid for the lanes of the mask.
using Combine = void (*)(void* const* arguments, unsigned mask);
enum class Order : int { none, memory };  // of all these, only __syncwarp orders what the lanes wrote

}  // namespace tilewise

extern "C" {
void tw_meet(unsigned mask, void* argument, tilewise::Combine combine, tilewise::Order order, const char* operation,
             const char* file, int line) noexcept;
void tw_bad_source(unsigned lane, unsigned source, unsigned mask) noexcept;
unsigned tw_active_mask() noexcept;
}

namespace tilewise {

template <class T>
struct Shuffle {
    T value, result;
    unsigned source, named;  // named: the mask as written, with lanes that the block does not have
    bool must_be_there;
};

template <class T>
TW_UNCHECKED void shuffle_lanes(void* const* arguments, unsigned mask) {
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (!(mask >> lane & 1)) continue;
        auto& mine = *static_cast<Shuffle<T>*>(arguments[lane]);
        bool there = mask >> mine.source & 1;
        if (!there && mine.must_be_there) return tw_bad_source(lane, mine.source, mine.named);
        // What CUDA leaves undefined is poison here: the ends of a chain of shuffles down may read it, and must not use
        // it.
        if (there)
            std::memcpy(&mine.result, &static_cast<Shuffle<T>*>(arguments[mine.source])->value, sizeof(T));
        else
            std::memset(&mine.result, 0xff, sizeof(T));
    }
}

template <class T>
T shuffle(unsigned mask, T value, unsigned source, bool must_be_there, const char* operation, const char* file,
          int line) {
    Shuffle<T> mine{value, value, source & 31, mask, must_be_there};
    tw_meet(mask, &mine, shuffle_lanes<T>, Order::none, operation, file, line);
    return mine.result;
}

struct Vote {
    unsigned long long value;
    unsigned result;
};

TW_UNCHECKED inline void gather_votes(void* const* arguments, unsigned mask) {
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1) votes |= unsigned(static_cast<Vote*>(arguments[lane])->value != 0) << lane;
    for (unsigned lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1) static_cast<Vote*>(arguments[lane])->result = votes;
}

TW_UNCHECKED inline void gather_equals(void* const* arguments, unsigned mask) {
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (!(mask >> lane & 1)) continue;
        auto& mine = *static_cast<Vote*>(arguments[lane]);
        mine.result = 0;
        for (unsigned other = 0; other < 32; ++other)
            if ((mask >> other & 1) && static_cast<Vote*>(arguments[other])->value == mine.value)
                mine.result |= 1u << other;
    }
}

TW_UNCHECKED inline void gather_same(void* const* arguments, unsigned mask) {
    gather_equals(arguments, mask);
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (!(mask >> lane & 1)) continue;
        auto& mine = *static_cast<Vote*>(arguments[lane]);
        mine.result = mine.result == mask ? mask : 0;
    }
}

template <class T>
unsigned long long bits_of(T value) {
    static_assert(sizeof(T) <= 8, "lanes are matched by values of at most 8 bytes");
    unsigned long long bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
}

// Sums wrap round, as on a GPU.
struct Sum {
    unsigned operator()(unsigned a, unsigned b) const { return a + b; }
};
struct Least {
    template <class T>
    T operator()(T a, T b) const {
        return a < b ? a : b;
    }
};
struct Greatest {
    template <class T>
    T operator()(T a, T b) const {
        return a < b ? b : a;
    }
};

template <class T, class Fold>
TW_UNCHECKED void fold_lanes(void* const* arguments, unsigned mask) {
    unsigned first = unsigned(__builtin_ctz(mask));
    T result = *static_cast<T*>(arguments[first]);
    for (unsigned lane = first + 1; lane < 32; ++lane)
        if (mask >> lane & 1) result = T(Fold()(result, *static_cast<T*>(arguments[lane])));
    for (unsigned lane = first; lane < 32; ++lane)
        if (mask >> lane & 1) *static_cast<T*>(arguments[lane]) = result;
}

template <class Fold, class T>
T reduce(unsigned mask, T value, const char* operation, const char* file, int line) {
    tw_meet(mask, &value, fold_lanes<T, Fold>, Order::none, operation, file, line);
    return value;
}

inline unsigned vote(unsigned mask, unsigned long long value, Combine combine, const char* operation, const char* file,
                     int line) {
    Vote mine{value, 0};
    tw_meet(mask, &mine, combine, Order::none, operation, file, line);
    return mine.result;
}

}  // namespace tilewise

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, TW_HERE) {
    unsigned first = tw_identity()->lane & ~unsigned(width - 1);
    return tilewise::shuffle(mask, value, first + (unsigned(source) & unsigned(width - 1)), true, "__shfl_sync", file,
                             line);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, TW_HERE) {
    unsigned lane = tw_identity()->lane, source = lane ^ unsigned(lane_mask);
    // A lane may read from groups before its own, not from those after it.
    bool inside = source < ((lane & ~unsigned(width - 1)) + unsigned(width));
    return tilewise::shuffle(mask, value, inside ? source : lane, true, "__shfl_xor_sync", file, line);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, TW_HERE) {
    unsigned lane = tw_identity()->lane;
    bool inside = (lane & unsigned(width - 1)) + delta < unsigned(width);
    return tilewise::shuffle(mask, value, inside ? lane + delta : lane, false, "__shfl_down_sync", file, line);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, TW_HERE) {
    unsigned lane = tw_identity()->lane;
    bool inside = (lane & unsigned(width - 1)) >= delta;
    return tilewise::shuffle(mask, value, inside ? lane - delta : lane, false, "__shfl_up_sync", file, line);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, TW_HERE) {
    return tilewise::vote(mask, predicate != 0, tilewise::gather_votes, "__ballot_sync", file, line);
}
inline int __any_sync(unsigned mask, int predicate, TW_HERE) {
    return tilewise::vote(mask, predicate != 0, tilewise::gather_votes, "__any_sync", file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, TW_HERE) {
    return tilewise::vote(mask, predicate == 0, tilewise::gather_votes, "__all_sync", file, line) == 0;
}

template <class T>
unsigned __match_any_sync(unsigned mask, T value, TW_HERE) {
    return tilewise::vote(mask, tilewise::bits_of(value), tilewise::gather_equals, "__match_any_sync", file, line);
}
template <class T>
unsigned __match_all_sync(unsigned mask, T value, int* all_equal, TW_HERE) {
    unsigned same =
        tilewise::vote(mask, tilewise::bits_of(value), tilewise::gather_same, "__match_all_sync", file, line);
    *all_equal = same != 0;
    return same;
}

// For int and unsigned alone, as in CUDA.
#define TW_REDUCE(name, Fold, type)                                              \
    inline type name(unsigned mask, type value, TW_HERE) {                       \
        return tilewise::reduce<tilewise::Fold>(mask, value, #name, file, line); \
    }
TW_REDUCE(__reduce_add_sync, Sum, int)
TW_REDUCE(__reduce_add_sync, Sum, unsigned)
TW_REDUCE(__reduce_min_sync, Least, int)
TW_REDUCE(__reduce_min_sync, Least, unsigned)
TW_REDUCE(__reduce_max_sync, Greatest, int)
TW_REDUCE(__reduce_max_sync, Greatest, unsigned)
#undef TW_REDUCE

inline void __syncwarp(unsigned mask = 0xffffffffu, TW_HERE) {
    tw_meet(mask, nullptr, nullptr, tilewise::Order::memory, "__syncwarp", file, line);
}

inline unsigned __activemask() { return tw_active_mask(); }
