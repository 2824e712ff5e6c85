"""How long and how often: read from this module at each use, so that tests can change them."""

CONNECT_SECONDS = 10.0
STALL_SECONDS = 30.0
TRIES = 5  # in a row that bring nothing new
BACKOFF_SECONDS = 2.0  # before the second of them; doubles
LONGEST_WAIT = 120.0  # whatever the server asks for
REDIRECTS = 10
PLAIN_SECONDS = 10.0  # between two lines where there is no terminal to redraw
