"""Builds a data set from a bigWig, peaks and a genome: windows, their letters and their signal.

The task is that of sequence-to-signal models: given the letters of a short window near a peak,
predict the mean signal of its central letters. With a width of 100 and a center of 20::

    flank 500 |                       summit                        | flank 500
              |      [.... 40 ....[== 20 ==].... 40 ....]           |

A window is drawn at random among all that lie within the flanks of a peak's summit. One with a
letter that is not known (N), one beyond its chromosome's end and one in the blacklist are dropped,
counted, and replaced while there are places left. Letters are those of the forward strand.

Positions are counted from 0 and ends are exclusive, as BED has it: in ACGT, [1, 3) is CG.

Files, each of which imports only from those above it::

    files                     names of files, and how they are opened
    intervals                 BED
    signal, genome            bigWig, FASTA
    simulate                  all three, made up
    options                   what is built, and how
    line, splits, draw        where windows lie
    inputs, assemble          from files to a data set
    read                      from a data set to arrays
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
