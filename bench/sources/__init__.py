"""Sources of rows: files on disk, downloads, the cache of encoded tables, users' own tables."""
