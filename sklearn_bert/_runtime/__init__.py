"""The machine and the process: devices, process groups, files, progress."""
