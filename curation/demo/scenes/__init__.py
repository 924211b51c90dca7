"""The pictures of the demo, one file a form; each has `build(look) -> Scene`."""
