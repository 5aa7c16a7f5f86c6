"""How fast the coupled run and its kernel are, against what else could solve the same problem.

``python -m benchmarks`` (``make bench``) measures what is missing and writes the table; see README.md here.
"""

import os

os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # one core for everyone
