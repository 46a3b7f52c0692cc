"""Where a rendered crowd is: presets, ground, buildings, light, view."""
