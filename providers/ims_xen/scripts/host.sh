# host: what the machine has.
xl info || refuse no-xl "xl does not answer in this dom0"
