#!/bin/sh
# ims-context: tells this machine who it is.
#
# It finds its context (docs/guest.md), applies what bootparams.conf says
# (docs/bootparams-conf.md), and answers with a receipt. Run it as root at each boot, once the
# disks are there; the usual tools of busybox are enough. Network and host name are set and the
# receipt is sent each time; users, keys, files and scripts are left alone where they are as they
# were last time.
#
# Values of the context are data: none is executed, and none but names and paths is printed.
#
# Assembled from guest/parts by ims_bootparams.guest.
# shellcheck disable=SC1090,SC1091,SC2086,SC2154  # the variables that bootparams.conf sets
# shellcheck disable=SC2015,SC2016,SC2094,SC2116,SC2254  # on purpose, each of them
