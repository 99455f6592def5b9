// Atomic operations on global and shared memory: compare and swap until nobody came between.
#pragma once

extern "C" void tw_atomic(const void* address, unsigned bytes, const char* file, int line) noexcept;

namespace tilewise {

template <unsigned bytes>
struct Word;
template <>
struct Word<2> {
    using type = std::uint16_t;
};
template <>
struct Word<4> {
    using type = std::uint32_t;
};
template <>
struct Word<8> {
    using type = std::uint64_t;
};

template <class T, class Change>
TW_UNCHECKED T atomic_update(T* address, Change change, const char* file, int line) {
    using Bits = typename Word<sizeof(T)>::type;
    tw_atomic(address, sizeof(T), file, line);
    auto* word = reinterpret_cast<Bits*>(address);
    Bits seen = __atomic_load_n(word, __ATOMIC_RELAXED), wanted;
    T old;
    do {
        std::memcpy(&old, &seen, sizeof(T));
        T changed = change(old);
        std::memcpy(&wanted, &changed, sizeof(T));
    } while (!__atomic_compare_exchange_n(word, &seen, wanted, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return old;
}

template <class T>
struct Same {
    using type = T;
};  // the address alone decides the type: atomicAdd(&x, 1) works

}  // namespace tilewise

#define TW_ATOMIC(name, expression)                                                                  \
    template <class T>                                                                               \
    T name(T* address, typename tilewise::Same<T>::type value, TW_HERE) {                            \
        return tilewise::atomic_update(address, [=](T old) -> T { return expression; }, file, line); \
    }

TW_ATOMIC(atomicAdd, old + value)
TW_ATOMIC(atomicSub, old - value)
TW_ATOMIC(atomicExch, (static_cast<void>(old), value))
TW_ATOMIC(atomicMin, value < old ? value : old)
TW_ATOMIC(atomicMax, old < value ? value : old)
TW_ATOMIC(atomicAnd, old& value)
TW_ATOMIC(atomicOr, old | value)
TW_ATOMIC(atomicXor, old ^ value)
TW_ATOMIC(atomicInc, old >= value ? T(0) : T(old + 1))
TW_ATOMIC(atomicDec, old == 0 || old > value ? value : T(old - 1))
#undef TW_ATOMIC

template <class T>
T atomicCAS(T* address, typename tilewise::Same<T>::type expected, typename tilewise::Same<T>::type wanted, TW_HERE) {
    return tilewise::atomic_update(address, [=](T old) -> T { return old == expected ? wanted : old; }, file, line);
}
