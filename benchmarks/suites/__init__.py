"""The asv suites alone: asv imports every module here, with nothing but numbaconv installed."""
