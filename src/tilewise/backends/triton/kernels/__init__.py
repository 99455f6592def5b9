"""The kernels. `tilewise.backends.triton.versions` imports them, once for the compiler and once for the interpreter.

So every import among these files is relative, and nothing but `triton.language` and one another is used in them.

The papers' names: i, j index queries and keys, BLOCK_M and BLOCK_N are as many of them as a tile has. What is in units
of log2 has a 2 in its name. D and D_V are what was asked for, BLOCK_D and BLOCK_DV the next power of two.
"""

from .delta import delta_kernel
from .forward import forward_kernel
from .keys import keys_kernel
from .queries import queries_kernel

__all__ = ["delta_kernel", "forward_kernel", "keys_kernel", "queries_kernel"]
