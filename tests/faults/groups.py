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
    Group("kills", kills.one_rank, 3),
    Group("kills-two-ranks", kills.two_ranks, 3),
    Group("store-making", kills.store_making, 3),
    Group("many-at-once", kills.many_first_runs, 2),
    Group("identical", kills.identical_at_once, 1),
    Group("store-away", stores.store_away, 2),
    Group("disk-full", stores.disk_full, 2),
    Group("encodings", damage.encodings, 2),
    Group("run-folders", damage.run_folders, 3),
    Group("search-journal", searches.journal, 2),
    Group("search-postgresql", searches.postgresql, 2),
    Group("malformed", malformed.malformed, 4),
    Group("surroundings", surroundings.surroundings, 3),
    Group("servers", servers.servers, 1),
)
