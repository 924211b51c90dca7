"""The made demo set: `make_demo_media(folder)` fills a folder with clips whose truth is known.

recipe     assets/demo_recipe.json -> a checked Recipe
plan       Recipe, count, seed -> who is seen and who is heard in each clip
timelines  tempo numbers -> the moments that picture and sound both follow
canvas     anti-aliased shapes on float pictures
stage      look and scene -> frames; still layers, camera, light
scenes/    one form a file: what it looks like
sounds     what each form sounds like
forms      which timeline, scene and sound make a form, and which numbers it reads
clip       Recipe, plan -> pictures, samples -> bytes of an MP4
make       all clips of a folder, resumable, in processes
"""

from curation.demo.make import make_demo_media

__all__ = ["make_demo_media"]
