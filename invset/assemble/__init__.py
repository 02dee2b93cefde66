"""From settings to models, problem and method, as the command line, the scripts and `invset.sample` build them."""
