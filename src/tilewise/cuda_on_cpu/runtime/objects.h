// What the linker knows of a loaded kernel file: the static shared memory of each kernel, and the file's variables.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace tilewise {

// A variable; `begin` counts from the beginning of the file's memory, or of its thread-local storage.
struct Variable {
    std::string name;
    size_t begin, bytes;
};

// The __shared__ variables of a kernel and of all that it calls, those of templates included. Null where the file is
// gone: a cache may be deleted while its programs run.
const std::vector<Variable>* static_shared(const void* kernel);

struct Variables {
    std::vector<Variable> device;  // what kernels of the file share in global memory
    Variable constants{{}, 0, 0};  // all of __constant__ memory
};
// Of the file that holds a kernel.
const Variables& variables_beside(const void* kernel);

}  // namespace tilewise
