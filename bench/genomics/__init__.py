"""Data sets of windows, built from a bigWig, peaks and a genome.

The task is that of sequence-to-signal models: given the sequence of a short window near a peak,
predict the mean signal of its central bases. With a width of 100 and a center of 20::

    flank 500 |                       summit                        | flank 500
              |      [.... 40 ....[== 20 ==].... 40 ....]           |

Windows are drawn at random from all windows within the flanks of a peak's summit. A window is
dropped if it contains an unknown base (N), reaches beyond the end of its chromosome, or overlaps
the blacklist. Dropped windows are counted, and replaced while there are places left. Sequences are
those of the forward strand.

Positions are counted from 0 and ends are exclusive, as in BED: in ACGT, [1, 3) is CG.

Modules; each imports only from those above it::

    input_files                     names and opening of files
    intervals                       BED
    bigwig, fasta                   signal, genome
    simulate_genome                 simulated signal, peaks and genome
    build_options                   options of a data set
    coordinates, splits, sampling   places of windows
    checks, assemble                from files to a data set
    window_table                    from a data set to arrays
"""

from bench.genomics.assemble import build
from bench.genomics.bigwig import center_means
from bench.genomics.build_options import BuildOptions
from bench.genomics.input_files import MANIFEST, MARK, WINDOWS
from bench.genomics.window_table import read_windows, take_split

__all__ = [
    "MANIFEST",
    "MARK",
    "WINDOWS",
    "BuildOptions",
    "build",
    "center_means",
    "read_windows",
    "take_split",
]
