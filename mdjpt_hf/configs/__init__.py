"""Complete settings of runs, as YAML: `demo` (the default) and `paper`."""
