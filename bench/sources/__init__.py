"""Where rows come from: files on disk, downloads, the cache of encodings, tables of a user."""
