"""invset samples the inverse set of a neuron: varied images whose activation of it lies in a range you choose."""

__version__ = "0.1.0"
