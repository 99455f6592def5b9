"""One thread: small products on several wait for one another where others use the processor."""

import torch

torch.set_num_threads(1)
