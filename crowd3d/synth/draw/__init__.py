"""From a described crowd to pixels."""
