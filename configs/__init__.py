"""The presets. Each overrides some defaults of `crowd3d.config.Config`."""
