"""What a guest is told, as bytes: layouts, media, the digest, and the program inside the guest.

Everything here is a pure function of its arguments. A layout turns a
:class:`~ims_core.models.Context` into files, a medium turns files into an image, and
:func:`~ims_bootparams.receipt.parse_receipt` reads what the guest answers.
"""
