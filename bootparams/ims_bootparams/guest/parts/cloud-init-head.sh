# Answers for a guest of cloud-init with a receipt: its digest is of the bytes on the medium, its
# items are what `ims.checks` there says. It waits in the background until cloud-init is done.
#
# Assembled from guest/parts by ims_bootparams.guest.
# shellcheck shell=sh disable=SC1090,SC1091,SC2086,SC2154,SC2015,SC2016
