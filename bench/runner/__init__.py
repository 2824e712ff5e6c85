"""One run: from a request to a scored and recorded result."""
