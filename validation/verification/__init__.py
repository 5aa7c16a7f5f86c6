"""Do we solve the equations right, and never fall over: verification and robustness, part by part.

``python -m validation.verification`` (``make verify``) computes what is missing and writes one table; see README.md
here.
"""

import os

os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # studies side by side share the cores
