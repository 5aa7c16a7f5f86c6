"""`python -m interphase_sim` is the command `interphase-sim`."""

from interphase_sim.cli import main

main()
