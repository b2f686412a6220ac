"""Papers, one file each: its networks, its losses, nothing else."""
