"""The crash matrix: a run is cut short before and after each thing that it changes.

:mod:`tests.crash.victim` is a process that runs ``ims`` with its transports watched, and has an
accident at one point; :mod:`tests.crash.matrix` runs it once for each point, then another process
that recovers; :mod:`tests.crash.judge` says what is left. The product has no part in this but
being run and judged.
"""
