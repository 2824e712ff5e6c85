"""Time limits and numbers of attempts; read at each use, so that tests can change them."""

CONNECT_SECONDS = 10.0
STALL_SECONDS = 30.0
TRIES = 5  # attempts in a row without new bytes
BACKOFF_SECONDS = 2.0  # wait before the second attempt; doubles with every further one
LONGEST_WAIT = 120.0  # also if the server asks for a longer wait
REDIRECTS = 10
PLAIN_SECONDS = 10.0  # between two progress lines, if the output is not a terminal
