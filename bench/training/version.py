"""The version of the training: raised whenever the same request could train to another result."""

TRAINING = 1
"""Part of a run's identity, so that a run of an earlier training is not taken for today's.

A test compares the losses of the first steps with stored ones and fails until this is raised.
"""
