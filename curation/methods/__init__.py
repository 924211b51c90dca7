"""Methods of selection, one algorithm a file; `registry.METHODS` names them all."""
