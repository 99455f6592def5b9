// Kernel files that name the CUDA headers themselves get the executor instead.
#pragma once
#include "../tilewise_cuda.h"
