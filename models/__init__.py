"""The models, one file an architecture, imported as ``bench.models.<name>``."""

if __name__ != "bench.models":  # under a second name every plugin would be loaded twice
    raise ImportError(f"import this package as 'bench.models', not '{__name__}'")
