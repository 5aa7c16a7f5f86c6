"""How well sweeps hold up: throughput, cost per run, memory, many runs, and what SIGKILL leaves behind."""
