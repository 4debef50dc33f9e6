# host: what the machine has.
xl info
