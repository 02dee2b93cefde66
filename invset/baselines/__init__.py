"""Other people's ways to images of a neuron, each in one file, stepped and recorded as the paper's method is."""
