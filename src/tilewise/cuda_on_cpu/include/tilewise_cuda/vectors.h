// dim3, float4 and their kin, with CUDA's sizes and alignments.
#pragma once

#define TW_VECTORS(type, name, align2, align4)                                  \
    struct alignas(align2) name##2 { type x, y; };                              \
    struct name##3 { type x, y, z; };                                           \
    struct alignas(align4) name##4 { type x, y, z, w; };                        \
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
