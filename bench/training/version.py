"""The version of the training code: raised when the same request could give another result."""

TRAINING = 1
"""Part of a run's identity, so that a run of an earlier version is not taken for the same run.

A test compares the losses of the first steps with stored ones; it fails until this is raised.
"""
