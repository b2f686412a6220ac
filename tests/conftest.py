"""Settings of the whole test run."""

import os

import torch

# Tiny networks gain nothing from threads, and lose much where other work has the cores. Child processes
# get the same: the order of a sum, and with it the last bit, depends on the number of threads.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
