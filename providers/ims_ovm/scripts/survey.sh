# survey: BOUNDARY; bridges, and who has which address.
networks "$1"
section "$1" archive
records
