// What the linker knows of a loaded kernel file: which static shared memory each of its kernels has.
#pragma once

#include <cstddef>

namespace tilewise {

// -> bytes of the __shared__ arrays of a kernel and of all that it calls, those of templates included
size_t static_shared_bytes(const void* kernel);

}  // namespace tilewise
