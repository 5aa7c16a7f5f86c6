"""Which picture of a particulate coating holds where: coverage, size and thickness of its particles, with and
without a carbonate film, each point aged by four models of the same contact.

``python -m validation.particulate`` runs what is missing and writes the table and the figures; see README.md here.
"""

import os

os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # runs side by side share the cores
