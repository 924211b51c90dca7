"""Health of clips: measures of single clips -> columns with a definition, a unit, a threshold and a known error."""
