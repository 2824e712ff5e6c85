"""The groups of faults, with their share of the time."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults import damage, kills, malformed, searches, servers, stores, surroundings
from tests.faults.material import Material
from tests.faults.rounds import Round


@dataclass(frozen=True)
class Group:
    """A group of faults.

    Attributes:
        name: Name, for ``--group``.
        act: Function that does one round.
        share: Share of the time, relative to the others.
    """

    name: str
    act: Callable[[Round, Material], None]
    share: float


GROUPS = (
    Group("kills", kills.one_rank, 24),
    Group("kills-two-ranks", kills.two_ranks, 26),
    Group("store-making", kills.store_making, 26),
    Group("many-at-once", kills.many_first_runs, 10),
    Group("identical", kills.identical_at_once, 6),
    Group("store-away", stores.store_away, 15),
    Group("disk-full", stores.disk_full, 12),
    Group("encodings", damage.encodings, 12),
    Group("run-folders", damage.run_folders, 15),
    Group("search-journal", searches.journal, 12),
    Group("search-postgresql", searches.postgresql, 15),
    Group("malformed", malformed.malformed, 26),
    Group("surroundings", surroundings.surroundings, 20),
    Group("servers", servers.servers, 6),
)
