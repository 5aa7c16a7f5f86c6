"""The commented scenario that a new user starts from."""

from interphase_sim.scenario.schema import checked_name

_TEXT = """# A scenario of interphase-sim: one cell, one coating, one protocol. Run it with
#     interphase-sim run {name}.toml
# A physical value is a quantity with its unit. Written plainly ("15 nm") it counts as assumed; better:
#     thickness = {{ value = "15 nm", kind = "measured", source = "TEM", low = "10 nm", high = "20 nm" }}
# with kind measured, literature, fitted, assumed or gauge.
schema_version = 1
name = "{name}"
description = "coated NCM622 with less coverage than the shipped cell"

# The cell and the kinetics ship with the program. Copy a file beside this one and name it here to change it.
cell = "shipped:cell_walther2021.toml"
kinetics = "shipped:kinetics.toml"

# Leave this block out for uncoated NCM622.
[coating]
coverage = 0.80                        # share of the NCM surface that is covered: try 0.6 and 0.9
thickness = "15 nm"
gap_radius = "1.7 nm"                  # between touching particles of 15 nm; 7.5 nm if one is missing
core = "LiNbO3 (amorphous)"            # a name of the coatings table
shell = "Li2CO3"                       # leave out shell and the shell_... lines for a bare core
shell_thickness = "1 nm"
shell_conductivity = "1e-9 S/cm"       # the table knows only a range, so the scenario must choose
shell_activation_energy = "0.7 eV"
filler = "electrolyte"                 # what the gaps hold: electrolyte, carbonate or residue
contact = "closure"                    # around a gap, coarsely; or "resolved", "mixed", "separate"
covered_rate = 0.0249                  # oxygen exchange of covered over exposed oxide: 0.0027 to 0.23
rate_slope = 5                         # used without covered_rate: weight of the table's energies, 2 to 8

[protocol]
cycles = 200
steps = [                              # charge steps, then discharge steps, each to the cell's limit
    {{ type = "cc", direction = "charge", rate = "C/5" }},
    {{ type = "cc", direction = "discharge", rate = "C/5" }},
]

[numerics]
output_cycles = [1, 50, 200]           # cycles at which curves, depth profiles and losses are stored
"""


def template(name: str) -> str:
    """TOML text of a commented coated scenario of that name, which loads as written."""
    return _TEXT.format(name=checked_name(name))
