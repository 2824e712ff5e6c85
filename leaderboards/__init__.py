"""Leaderboards of results, made without torch. Imported as ``bench.leaderboards``."""

if __name__ != "bench.leaderboards":  # the folder itself on sys.path would load every plugin twice
    raise ImportError(f"import this package as 'bench.leaderboards', not '{__name__}'")
