"""Constants of nature, CODATA 2018: exact since the SI of 2019, the last two as far as CODATA lists them."""

ELEMENTARY_CHARGE = 1.602176634e-19  # C; also one electronvolt in J
AVOGADRO = 6.02214076e23  # mol-1
BOLTZMANN = 1.380649e-23  # J K-1
ZERO_CELSIUS = 273.15  # K
FARADAY = 96485.33212  # C mol-1
GAS_CONSTANT = 8.31446261815324  # J mol-1 K-1
