"""The only part that knows VBoxManage: its words, its output, its errors and its settings files.

Checked against VirtualBox 7.2; the words used have been there, in this spelling, since 6.1, and
later spellings of them are aliases. Sources: the VirtualBox manual, chapter "VBoxManage";
``src/VBox/Frontends/VBoxManage`` and ``src/VBox/Main/xml/Settings.cpp`` of VirtualBox's own source.
"""
