// dim3, float4 and their kin, with CUDA's sizes and alignments.
#pragma once

#if defined(__clang__) && TW_CHECKED

// A GPU moves a vector in one access. g++ is told to leave it whole; clang would split it into its members, and move
// only those that are used, so it is told here.
namespace tilewise {

template <size_t bytes>
struct Whole {
    typedef unsigned type __attribute__((vector_size(bytes), may_alias));
};
template <>
struct Whole<2> {
    typedef std::uint16_t type __attribute__((may_alias));
};

template <class T>
__forceinline__ void copy_whole(T* to, const T* from) {
    constexpr size_t access = sizeof(T) < 16 ? sizeof(T) : 16;  // the widest of a GPU's
    using Word = typename Whole<access>::type;
    for (size_t i = 0; i < sizeof(T) / access; ++i)
        reinterpret_cast<Word*>(to)[i] = reinterpret_cast<const Word*>(from)[i];
}

}  // namespace tilewise

#define TW_WHOLE(name)                                        \
    name() = default;                                         \
    name(const name& v) { tilewise::copy_whole(this, &v); }   \
    name& operator=(const name& v) {                          \
        tilewise::copy_whole(this, &v);                       \
        return *this;                                         \
    }
#define TW_WHOLE_2(name, type) TW_WHOLE(name) constexpr name(type x, type y) : x(x), y(y) {}
#define TW_WHOLE_4(name, type) \
    TW_WHOLE(name) constexpr name(type x, type y, type z, type w) : x(x), y(y), z(z), w(w) {}

#else
#define TW_WHOLE_2(name, type)
#define TW_WHOLE_4(name, type)
#endif

#define TW_VECTORS(type, name, align2, align4)                                  \
    struct alignas(align2) name##2 {                                            \
        type x, y;                                                              \
        TW_WHOLE_2(name##2, type)                                               \
    };                                                                          \
    struct name##3 {                                                            \
        type x, y, z;                                                           \
    };                                                                          \
    struct alignas(align4) name##4 {                                            \
        type x, y, z, w;                                                        \
        TW_WHOLE_4(name##4, type)                                               \
    };                                                                          \
    inline name##2 make_##name##2(type x, type y) { return {x, y}; }            \
    inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; } \
    inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

TW_VECTORS(signed char, char, 2, 4)
TW_VECTORS(unsigned char, uchar, 2, 4)
TW_VECTORS(short, short, 4, 8)
TW_VECTORS(unsigned short, ushort, 4, 8)
TW_VECTORS(int, int, 8, 16)
TW_VECTORS(unsigned, uint, 8, 16)
TW_VECTORS(float, float, 8, 16)
TW_VECTORS(long long, longlong, 16, 16)
TW_VECTORS(double, double, 16, 16)
#undef TW_VECTORS

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
    constexpr operator uint3() const { return {x, y, z}; }
};
