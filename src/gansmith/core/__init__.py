"""What everything else stands on: tensors, noise, schedules, processes, files. Imports errors only."""
