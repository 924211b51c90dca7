"""Engines that do a stage's parts on more machines than this one."""
