// float16 as in cuda_fp16.h: every operation in float32, rounded once to the nearest even.
#pragma once

namespace tilewise {

#if defined(__FLT16_MANT_DIG__) && !defined(TW_SOFTWARE_HALF)

inline std::uint16_t half_bits(float x) { return bits_as<std::uint16_t>(static_cast<_Float16>(x)); }
inline float half_value(std::uint16_t bits) { return static_cast<float>(bits_as<_Float16>(bits)); }

#else

inline std::uint16_t half_bits(float x) {
    std::uint32_t bits = bits_as<std::uint32_t>(x), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) return sign | 0x7e00u;
    if (size >= 0x477ff000u) return sign | 0x7c00u;
    // Below 2^-14 the unit is 2^-24: adding 1/2, whose own unit that is, rounds there.
    if (size < 0x38800000u) return sign | (bits_as<std::uint32_t>(bits_as<float>(size) + 0.5f) - 0x3f000000u);
    return sign | ((size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13);
}

inline float half_value(std::uint16_t bits) {
    std::uint32_t sign = std::uint32_t(bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, fraction = bits & 0x3ffu;
    if (exponent == 31) return bits_as<float>(sign | 0x7f800000u | fraction << 13);
    float size = exponent ? bits_as<float>((exponent + 112) << 23 | fraction << 13) : float(fraction) * 0x1p-24f;
    return sign ? -size : size;
}

#endif

}  // namespace tilewise

struct __half {
    std::uint16_t bits;
    __half() = default;
    __half(float x) : bits(tilewise::half_bits(x)) {}
    __half(double x) : __half(float(x)) {}
    __half(int x) : __half(float(x)) {}
    __half(unsigned x) : __half(float(x)) {}
    operator float() const { return tilewise::half_value(bits); }
    __half& operator+=(__half b) { return *this = __half(float(*this) + float(b)); }
    __half& operator-=(__half b) { return *this = __half(float(*this) - float(b)); }
    __half& operator*=(__half b) { return *this = __half(float(*this) * float(b)); }
    __half& operator/=(__half b) { return *this = __half(float(*this) / float(b)); }
};
using half = __half;

struct alignas(4) __half2 {
    __half x, y;
    TW_WHOLE_2(__half2, __half)
};
using half2 = __half2;

#define TW_HALF_OPERATOR(sign, name)                                                            \
    inline __half operator sign(__half a, __half b) { return float(a) sign float(b); }          \
    inline __half name(__half a, __half b) { return a sign b; }                                 \
    inline __half2 operator sign(__half2 a, __half2 b) { return {a.x sign b.x, a.y sign b.y}; } \
    inline __half2 name##2(__half2 a, __half2 b) { return a sign b; }
TW_HALF_OPERATOR(+, __hadd)
TW_HALF_OPERATOR(-, __hsub)
TW_HALF_OPERATOR(*, __hmul)
TW_HALF_OPERATOR(/, __hdiv)
#undef TW_HALF_OPERATOR
inline __half2 __h2div(__half2 a, __half2 b) { return a / b; }

#define TW_HALF_COMPARE(sign, name)                                                  \
    inline bool operator sign(__half a, __half b) { return float(a) sign float(b); } \
    inline bool name(__half a, __half b) { return a sign b; }
TW_HALF_COMPARE(==, __heq)
TW_HALF_COMPARE(!=, __hne)
TW_HALF_COMPARE(<, __hlt)
TW_HALF_COMPARE(<=, __hle)
TW_HALF_COMPARE(>, __hgt)
TW_HALF_COMPARE(>=, __hge)
#undef TW_HALF_COMPARE

inline __half operator-(__half a) { return -float(a); }
inline __half __hneg(__half a) { return -float(a); }
inline __half __habs(__half a) { return fabsf(a); }
inline __half __hmax(__half a, __half b) { return fmaxf(a, b); }
inline __half __hmin(__half a, __half b) { return fminf(a, b); }
inline bool __hisnan(__half a) { return float(a) != float(a); }
inline bool __hisinf(__half a) { return (a.bits & 0x7fff) == 0x7c00; }
// The product of two halves is exact in float64, so this rounds as a fused operation does.
inline __half __hfma(__half a, __half b, __half c) { return double(float(a)) * double(float(b)) + double(float(c)); }
inline __half hexp(__half a) { return expf(a); }
inline __half hexp2(__half a) { return exp2f(a); }
inline __half hlog(__half a) { return logf(a); }
inline __half hlog2(__half a) { return log2f(a); }
inline __half hsqrt(__half a) { return sqrtf(a); }
inline __half hrsqrt(__half a) { return rsqrtf(a); }
inline __half hrcp(__half a) { return 1.0f / float(a); }

inline __half __float2half(float x) { return x; }
inline __half __float2half_rn(float x) { return x; }
inline float __half2float(__half x) { return x; }
inline __half __double2half(double x) { return x; }
inline __half __int2half_rn(int x) { return x; }
inline __half __uint2half_rn(unsigned x) { return x; }
inline int __half2int_rn(__half x) { return __float2int_rn(x); }
inline int __half2int_rz(__half x) { return int(float(x)); }
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline short __half_as_short(__half x) { return short(x.bits); }
inline __half __ushort_as_half(unsigned short bits) { return tilewise::bits_as<__half>(bits); }
inline __half __short_as_half(short bits) { return tilewise::bits_as<__half>(bits); }

inline __half2 make_half2(__half x, __half y) { return {x, y}; }
inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline __half2 __half2half2(__half x) { return {x, x}; }
inline __half2 __float2half2_rn(float x) { return {x, x}; }
inline __half2 __floats2half2_rn(float x, float y) { return {x, y}; }
inline __half2 __float22half2_rn(float2 v) { return {v.x, v.y}; }
inline float2 __half22float2(__half2 v) { return {float(v.x), float(v.y)}; }
inline __half __low2half(__half2 v) { return v.x; }
inline __half __high2half(__half2 v) { return v.y; }
inline float __low2float(__half2 v) { return v.x; }
inline float __high2float(__half2 v) { return v.y; }
inline __half2 __lowhigh2highlow(__half2 v) { return {v.y, v.x}; }
inline __half2 __hneg2(__half2 a) { return {-a.x, -a.y}; }
inline __half2 __habs2(__half2 a) { return {__habs(a.x), __habs(a.y)}; }
inline __half2 __hmax2(__half2 a, __half2 b) { return {__hmax(a.x, b.x), __hmax(a.y, b.y)}; }
inline __half2 __hmin2(__half2 a, __half2 b) { return {__hmin(a.x, b.x), __hmin(a.y, b.y)}; }
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }
inline __half2 h2exp(__half2 a) { return {hexp(a.x), hexp(a.y)}; }
inline __half2 h2exp2(__half2 a) { return {hexp2(a.x), hexp2(a.y)}; }
