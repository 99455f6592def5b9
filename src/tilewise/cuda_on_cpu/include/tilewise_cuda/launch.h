// Start a kernel: pack its arguments, and hand the runtime one function that unpacks them inside every thread.
#pragma once

#include <tuple>
#include <utility>

namespace tilewise {

struct Launch {
    const char* kernel_name;
    const void* kernel;
    void (*run_thread)(void* arguments);
    void* arguments;
    size_t argument_bytes;
    // Gives the address of thread-local storage of this kernel file, by which the runtime finds its shared memory.
    char* (*touch_shared)();
    dim3 grid, block;
    size_t shared_bytes;
    bool checked;
    const char* file;
    int line;
};

}  // namespace tilewise

extern "C" void tw_launch(const tilewise::Launch* launch) noexcept;

namespace tilewise {

static thread_local char shared_marker;
inline char* touch_shared() { return &shared_marker; }

template <class... Parameters>
struct Launcher {
    void (*kernel)(Parameters...);
    Launch launch;

    struct Packed {
        void (*kernel)(Parameters...);
        std::tuple<Parameters...> values;
    };

    template <size_t... place>
    TW_UNCHECKED static void unpack(Packed& packed, std::index_sequence<place...>) {
        packed.kernel(std::get<place>(packed.values)...);
    }
    TW_UNCHECKED static void run_thread(void* packed) {
        unpack(*static_cast<Packed*>(packed), std::index_sequence_for<Parameters...>());
    }

    template <class... Arguments>
    void operator()(Arguments&&... arguments) {
        static_assert(sizeof...(Arguments) == sizeof...(Parameters), "the kernel takes another number of arguments");
        Packed packed{kernel, std::tuple<Parameters...>(static_cast<Parameters>(arguments)...)};
        launch.arguments = &packed;
        launch.argument_bytes = sizeof packed;
        tw_launch(&launch);
    }
};

template <class... Parameters>
Launcher<Parameters...> launcher(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                                 cudaStream_t, const char* name, const char* file, int line) {
    using This = Launcher<Parameters...>;
    return {kernel,
            {name, reinterpret_cast<const void*>(kernel), This::run_thread, nullptr, 0, touch_shared, grid, block,
             shared_bytes, TW_CHECKED, file, line}};
}

}  // namespace tilewise

#define TW_LAUNCH(kernel, grid, block, shared_bytes, stream) \
    tilewise::launcher(kernel, grid, block, shared_bytes, stream, #kernel, __FILE__, __LINE__)
