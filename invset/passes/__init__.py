"""How codes go through the networks: plain, as a graph or compiled, in micro-batches, shared between processes."""
