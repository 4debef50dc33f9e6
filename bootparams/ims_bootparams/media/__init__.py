"""Media: images that hold a layout's files, made in memory."""
