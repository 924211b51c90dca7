"""What a selection is judged on: labelled sets and their features, pairs with known mismatch, trials of a workspace.

Nothing here helps to make a selection; no stage imports it.
"""
