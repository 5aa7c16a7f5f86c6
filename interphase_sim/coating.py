"""A coating on NCM622: from its descriptors to oxygen exchange and ionic resistance, whatever model its contact has.

Geometry: particles of thickness h cover the share theta of the oxide that touches electrolyte; the rest lies in
gaps of radius r_p, one per unit cell of radius r_c = r_p / sqrt(1 - theta).  A filler closes a share of the gaps: they
count as coating, unless all are filled; then the gap of the unit cell is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from interphase_sim import materials
from interphase_sim.arrhenius import arrhenius
from interphase_sim.errors import InputError
from interphase_sim.scenario import Coating, Kinetics, Parameter, gap_share

ROOM = 298.15
ROCK_SALT_VOLUME = 11.2e-6  # m3 mol-1 of NiO-type rock salt, one formula unit per oxygen lost
CLOSE_PACKED = 0.907  # largest coverage of a plane by equal discs


@dataclass(frozen=True)
class Patch:
    """A laterally uniform share of the contact.

    area: share of the contact area; exposed: share of the patch where oxide meets electrolyte; kappa_0 and
    kappa_cov [m s-1]: oxygen exchange of exposed and covered oxide at unit activity, per exposed area and per
    patch area; r_gap [s m-1]: fixed resistance of the gaps per exposed area; v [s m-1 per mol m-2]: growth of
    the rock-salt barrier with the oxygen taken up through gaps.
    """

    area: float
    exposed: float
    kappa_0: float
    kappa_cov: float
    r_gap: float
    v: float


@dataclass(frozen=True)
class Shield:
    """Ionic side of a coating: resistance of its core [ohm m2 of covered area], thickness [m], gap radius [m], the
    conductivity of the filler (None: nothing but the layer is in the gaps) and the resistance of one of the two
    shells [ohm m2]."""

    core: float
    thickness: float
    gap_radius: float
    gap_conductivity: float | None
    shell: float = 0.0

    @property
    def covered(self) -> float:
        """Resistance of core and both shells in series [ohm m2 of covered area]."""
        return self.core + 2 * self.shell


def constriction(coverage: float) -> float:
    """Interaction factor of an array of circular gaps, (1 - sqrt(1 - theta))^1.5; 0 bare, 1 for far gaps."""
    return math.pow(1.0 - math.sqrt(1.0 - coverage), 1.5)


def cell_radius(gap_radius: float, share: float) -> float:
    """Radius of the unit cell around one gap that takes a share of it, r_p / sqrt(share) [m]."""
    return gap_radius / math.sqrt(share)


def coverage_at(coating: Coating | None, swings: float) -> float:
    """Coverage after a number of full delithiation swings, theta (1 - loss)^swings."""
    if coating is None:
        return 0.0
    return coating.coverage.si * math.pow(1.0 - coating.coverage_loss.si, swings)


def covered_rate_factor(coating: Coating) -> float:
    """kappa_cov / kappa_0 [1]: the scenario's, or exp(-s (1 - dE_cov/dE_bare)) with the table's reaction energies.

    dE_bare: Li6PS5Cl against half-lithiated NCM; dE_cov: the stronger of the coating's reactions with
    electrolyte and with half-lithiated NCM. A shell wraps the core's particles, so where there is one it is what
    either of them touches. That rates follow energies, with one slope s for all coatings, is an assumption.
    Raises InputError for a material without reaction energies.
    """
    if coating.covered_rate is not None:
        return coating.covered_rate.si
    outer = coating.shell or coating.core
    bare = _reaction_energy("bare contact", "NCM_half")
    strongest = min(_reaction_energy(outer, partner) for partner in ("LPSCl", "NCM_half"))
    return math.exp(-coating.rate_slope.si * (1.0 - min(strongest / bare, 1.0)))


def _reaction_energy(name: str, partner: str) -> float:
    """Energy of reaction with LPSCl or NCM_half [J per atom], negative where they react."""
    value = materials.lookup("coatings", name, f"reaction_energy_with_{partner}").value
    if value is None:
        raise InputError(
            f"coating.covered_rate is missing: the table has no reaction energy of {name} with {partner}, "
            "which decides how much oxygen passes covered oxide"
        )
    return value


def _conductivity(name: str, sigma: Parameter | None, energy: Parameter | None, part: str, temperature: float) -> float:
    """Arrhenius conductivity of a named material [S m-1], the scenario's numbers before the table's."""
    at_room = sigma.si if sigma is not None else _from_table(name, "sigma_ion_25C", f"coating.{part}_conductivity")
    barrier = (
        energy.si if energy is not None else _from_table(name, "activation_energy", f"coating.{part}_activation_energy")
    )
    return at_room * arrhenius(barrier, temperature, ROOM)


def _from_table(name: str, quantity: str, key: str) -> float:
    entry = materials.lookup("coatings", name, quantity)
    if entry.value is None:
        span = (
            f" (range {entry.low:g} to {entry.high:g} SI)" if entry.low is not None and entry.high is not None else ""
        )
        raise InputError(f"{key} is missing: the table has no single value of {quantity} for {name}{span}")
    return entry.value


def shield(coating: Coating, temperature: float) -> Shield:
    """Series resistance of core and shells over covered oxide, and what fills the gaps.

    Raises InputError naming a conductivity that neither the scenario nor the table gives.
    """
    core = _conductivity(coating.core, coating.core_conductivity, coating.core_activation_energy, "core", temperature)
    shells, resistance = 0.0, 0.0  # of both
    if coating.shell is not None and coating.shell_thickness is not None:
        shells = 2 * coating.shell_thickness.si
        sigma = _conductivity(
            coating.shell, coating.shell_conductivity, coating.shell_activation_energy, "shell", temperature
        )
        resistance = shells / sigma
    thickness = coating.thickness.si
    filler = None
    if coating.filler == "carbonate":
        filler = _conductivity(
            "Li2CO3", coating.filler_conductivity, coating.filler_activation_energy, "filler", temperature
        )
    elif coating.filler == "residue":
        if coating.filler_conductivity is None:
            raise InputError("coating.filler_conductivity is missing: nothing is known of the residue's conductivity")
        # nothing is known of its activation energy either: without one it is as conductive at every temperature
        energy = coating.filler_activation_energy.si if coating.filler_activation_energy else 0.0
        filler = coating.filler_conductivity.si * arrhenius(energy, temperature, ROOM)
    return Shield((thickness - shells) / core, thickness, gap_radius(coating), filler, resistance / 2)


def block_resistance(cover: Shield, coverage: float, exposed: float) -> float:
    """Resistance across coating and filled gaps side by side, per area that is not exposed [ohm m2]."""
    return (1.0 - exposed) / covered_conductance(cover, 1.0 - coverage, exposed)


def all_filled(coating: Coating) -> bool:
    """Whether no gap is left open."""
    return coating.filler_coverage.si >= 1


def filled_rate(coating: Coating, exchange: float, hidden: float) -> float:
    """Oxygen exchange of oxide under filler at unit activity, 1/(1/kappa_0 + h/D_filler) [m s-1].

    As that of covered oxide, ``hidden``, where no diffusivity of the filler is given.
    """
    if coating.filler_diffusivity is None:
        return hidden
    return exchange / (1.0 + exchange * coating.thickness.si / coating.filler_diffusivity.si)


class WaysIn(NamedTuple):
    """How oxygen enters a coated contact.

    exposed: share of the contact where oxide meets electrolyte [1]; exchange: that of exposed oxide at unit activity
    [m s-1]; coated, under_filler: that of oxide under coating and under filler; hidden: the mean of all that is not
    exposed; gap: resistance of the gaps' electrolyte, h/D_gap [s m-1]; rock_salt: that of rock salt per oxygen lost
    [s m-1 per mol m-2].
    """

    exposed: float
    exchange: float
    coated: float
    under_filler: float
    hidden: float
    gap: float
    rock_salt: float


def ways_in(coating: Coating, coverage: float, kinetics: Kinetics) -> WaysIn:
    """The ways of oxygen into a contact at a coverage above zero; filled gaps count as covered for the filled share."""
    exchange, share = kinetics.oxygen.exchange.si, coating.filler_coverage.si
    exposed = (1.0 - coverage) * (1.0 - share)
    coated = exchange * covered_rate_factor(coating)
    under_filler = filled_rate(coating, exchange, coated)
    hidden = (coverage * coated + (1.0 - coverage) * share * under_filler) / (1.0 - exposed) if share else coated
    gap = coating.thickness.si / kinetics.oxygen.gap_diffusivity.si
    return WaysIn(exposed, exchange, coated, under_filler, hidden, gap, rock_salt(kinetics))


def rock_salt(kinetics: Kinetics) -> float:
    """Resistance of rock salt to oxygen per oxygen lost from exposed oxide [s m-1 per mol m-2]."""
    return ROCK_SALT_VOLUME / kinetics.oxygen.rocksalt_diffusivity.si


def bare_patch(kinetics: Kinetics) -> Patch:
    """A contact that is exposed everywhere."""
    return Patch(1.0, 1.0, kinetics.oxygen.exchange.si, 0.0, 0.0, rock_salt(kinetics))


def refuse_closed_gaps(coating: Coating) -> None:
    """Raise InputError where all gaps are filled, for a contact that lets oxygen in by open ones."""
    if all_filled(coating):
        raise InputError(
            f'coating.filler_coverage must lie below 1 with contact = "{coating.contact}", which needs an open gap; '
            'contact = "closure" or "resolved" does not'
        )


def gap_radius(coating: Coating) -> float:
    """Radius of a gap [m], without one that is given half a particle."""
    return coating.gap_radius.si if coating.gap_radius is not None else 0.5 * coating.thickness.si


def covered_conductance(cover: Shield, gaps: float, exposed: float) -> float:
    """Conductance of coating and filled gaps per contact area [S m-2]."""
    filler = cover.gap_conductivity / cover.thickness if cover.gap_conductivity else 0.0
    return (gaps - exposed) * filler + (1.0 - gaps) / cover.covered


def gap_distance(coating: Coating | None, coverage: float) -> float:
    """Distance of neighbouring gaps, 2 r_c [m]; not-a-number without gaps."""
    if coating is None or coverage <= 0 or coating.gap_radius is None:
        return math.nan
    return 2 * cell_radius(coating.gap_radius.si, gap_share(coverage, coating.filler_coverage.si))


def regime(coating: Coating | None, coverage: float, layer: float) -> float:
    """Layer thickness over the distance between gaps, L / (2 r_c): "mixed" holds above 1, "separate" far below."""
    return layer / gap_distance(coating, coverage)


def outside_regime(reached: float, contact: str, bound: str) -> str:
    """That a contact is outside the layer thicknesses over the distance of gaps for which it is made."""
    return (
        f'layer over gap distance L/(2 r_c) is {reached:.2g}; contact = "{contact}" holds {bound}, in between '
        'it decides the answer; "closure" and "resolved" do not'
    )
