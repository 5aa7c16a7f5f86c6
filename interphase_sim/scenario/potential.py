"""What the tabulated open-circuit potential of NCM622 covers, as plain numbers that need no PyBaMM.

The table itself is `cell.parameters.ocp_table`; a test keeps these numbers equal to it.
"""

from interphase_sim.errors import InputError

# Lower end: the potential at full lithiation, x = 1. The table goes on below, but only as an assumed steep edge for a
# solver that oversteps. Upper end: the highest potential at which the MSMR branch was tabulated.
LOWEST, HIGHEST = 2.815, 5.2  # V vs Li/Li+


def refuse_beyond(written: str, voltage: float, plateau: float) -> None:
    """Raise InputError for a cell voltage at which the NCM622 is beyond its potential table.

    written: the voltage as its file has it. voltage: the same [V vs LTO]. plateau: potential of LTO [V vs Li/Li+].
    """
    potential = voltage + plateau
    if LOWEST <= potential <= HIGHEST:
        return
    against_lithium = LOWEST <= voltage <= HIGHEST and voltage > plateau
    meant = f"; did you mean '{voltage - plateau:.4g} V'?" if against_lithium else ""
    raise InputError(
        f"{written} vs LTO is {potential:.4g} V vs Li/Li+ (the LTO plateau is at {plateau:.4g} V), beyond the NCM622 "
        f"potential table ({LOWEST:.4g} to {HIGHEST:.4g} V){meant}"
    )
