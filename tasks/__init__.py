"""Tasks, one file or folder each, imported as ``bench.tasks.<name>``."""

if __name__ != "bench.tasks":  # an import as "tasks" would load every plugin twice
    raise ImportError(f"import this package as 'bench.tasks', not '{__name__}'")
